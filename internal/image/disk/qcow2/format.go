package qcow2

import "encoding/binary"

// Header of version 3, docs/interop/qcow2.txt "Header": offsets in bytes, big
// endian.
const (
	magic        = "QFI\xfb"
	version      = 3
	headerLength = 112 // with the compression type, which 0 leaves at deflate

	offVersion       = 4
	offBacking       = 8
	offBackingSize   = 16
	offClusterBits   = 20
	offSize          = 24
	offCrypt         = 32
	offL1Size        = 36
	offL1            = 40
	offRefcountTable = 48
	offRefcountSize  = 56 // in clusters
	offIncompatible  = 72
	offRefcountOrder = 96
	offHeaderLength  = 100
	offCompression   = 104

	minClusterBits = 9
	maxClusterBits = 21

	refcountOrder = 4 // 2^4 bits
	refcountBytes = 2
	entryBytes    = 8        // of L1 and L2 tables
	maxL1         = 32 << 20 // bytes, QEMU's bound
)

// Bits of table entries, "Cluster mapping".
const (
	copied     = 1 << 63 // the cluster's reference count is one
	compressed = 1 << 62
)

// layout is where Close puts the tables.
type layout struct {
	l1, l1Entries     uint64
	refcount, refSize uint64 // reference count table: offset, clusters
}

// header returns the bytes at the file's start.
func (w *Writer) header(l *layout) []byte {
	b := make([]byte, headerLength+8) // an empty extension ends the header
	copy(b, magic)
	binary.BigEndian.PutUint32(b[offVersion:], version)
	binary.BigEndian.PutUint32(b[offClusterBits:], uint32(w.bits))
	binary.BigEndian.PutUint64(b[offSize:], uint64(w.size))
	binary.BigEndian.PutUint32(b[offL1Size:], uint32(l.l1Entries))
	binary.BigEndian.PutUint64(b[offL1:], l.l1)
	binary.BigEndian.PutUint64(b[offRefcountTable:], l.refcount)
	binary.BigEndian.PutUint32(b[offRefcountSize:], uint32(l.refSize))
	binary.BigEndian.PutUint32(b[offRefcountOrder:], refcountOrder)
	binary.BigEndian.PutUint32(b[offHeaderLength:], headerLength)
	return b
}
