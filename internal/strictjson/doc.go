// Package strictjson decodes JSON (RFC 8259) in the one way in which two readers
// cannot understand different things. encoding/json takes a name in any case,
// folded as Unicode folds, the last of several equal names, and whatever comes
// behind the value; here all of that is an error.
//
// Decode is for requests and for files that this program wrote. Rules loosens it
// for answers of newer services and for formats of others.
package strictjson
