// Package artifact keeps uploaded files (firmware, kernels, initrds) by their
// content, named by SHA-256: the same file is kept once, however many releases
// use it. Files keeps them on disk, Database in the database of the store, for
// replicas that share nothing else.
//
// Files come and go as streams, of which a bounded part is in memory. A file
// appears whole or not at all, and is on the disk when Commit returns. Reading
// checks: the size when the file is opened, the hash when the last byte was read,
// so nobody may act on a part of a file that cannot be undone.
//
// Whether a file is still in use is not known here, see store.DropArtifact.
package artifact
