// Package qcow2 writes QEMU's image format, version 3, as docs/interop/qcow2.txt
// of QEMU describes it: 16-bit reference counts, no snapshots, no backing file,
// deflate for the clusters that shrink where that is asked for.
//
// A Writer takes pieces in any order and from many goroutines, puts what is
// written into the file at once, and keeps the tables in memory (8 bytes for
// each cluster of the half GiB around anything that was written). Close writes
// the tables, makes everything durable and only then writes the header: a file
// that was not closed starts with zeros and is no image. Clusters that nobody
// wrote take no space and read as zeros; what is written is kept, zeros too.
package qcow2

import "errors"

// ErrWrite is a piece that cannot be written where it was meant to go, or a
// disk that cannot be made.
var ErrWrite = errors.New("qcow2 writer")
