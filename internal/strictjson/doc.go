// Package strictjson decodes JSON (RFC 8259) in the one way in which two readers
// cannot understand different things. encoding/json takes a name in any case,
// folded as Unicode folds, the last of several equal names, and whatever comes
// behind the value; here all of that is an error.
//
// Decode is for requests and for files that this program wrote. Rules loosens it
// for answers of newer services and for formats of others. In what reads itself
// (json.Unmarshaler) only repeated names are found: it has to use this package too.
package strictjson
