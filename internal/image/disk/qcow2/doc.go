// Package qcow2 reads and writes QEMU's image format as docs/interop/qcow2.txt of
// QEMU describes it, and says what the header of one asks for.
//
// A Reader reads versions 2 and 3, with clusters that are compressed by deflate or
// zstd. It is for images that stand alone: whatever lies in other files, is encrypted
// or has extended L2 tables is left to QEMU. Images are hostile: every offset is held
// against the size of the file when it is used, tables in memory are bounded, and what
// is damaged is an error where QEMU may answer with zeros. Reference counts, snapshots
// and bitmaps are not looked at.
//
// A Writer makes version 3: 16-bit reference counts, no snapshots, no backing file,
// deflate for the clusters that shrink where that is asked for. It takes pieces in any
// order and from many goroutines, puts what is written into the file at once, and keeps
// the tables in memory (8 bytes for each cluster of the half GiB around anything that
// was written). Close writes the tables, makes everything durable and only then writes
// the header: a file that was not closed starts with zeros and is no image. Clusters
// that nobody wrote take no space and read as zeros; what is written is kept, zeros too.
package qcow2

import "errors"

// ErrWrite is a piece that cannot be written where it was meant to go, or a
// disk that cannot be made.
var ErrWrite = errors.New("qcow2 writer")

// ErrImage is an image that is damaged, or that asks for something outside of itself.
// The text says what.
var ErrImage = errors.New("refused disk image")

// ErrUnsupported is an image that only QEMU can read.
var ErrUnsupported = errors.New("qcow2 image that is left to QEMU")
