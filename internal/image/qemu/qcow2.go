package qemu

import (
	"fmt"
)

// qcow2 header, docs/interop/qcow2.txt "Header": offsets in bytes, big endian.
const (
	qcowVersion       = 4
	qcowBackingOffset = 8
	qcowBackingSize   = 16
	qcowClusterBits   = 20
	qcowSize          = 24
	qcowCrypt         = 32
	qcowL1Size        = 36
	qcowL1Offset      = 40
	qcowIncompatible  = 72
	qcowHeaderLength  = 100
	qcowV2Header      = 72
	qcowV3Header      = 104

	maxBackingName = 1023
	maxL1          = 32 << 20 // bytes, QEMU's own bound
)

// Incompatible features that change nothing in what this package reads, or that
// it knows: dirty (reference counts only), compression type, extended L2.
const (
	qcowDirty       = 1 << 0
	qcowCorrupt     = 1 << 1
	qcowDataFile    = 1 << 2
	qcowCompression = 1 << 3
	qcowExtendedL2  = 1 << 4
)

// Header extensions.
const (
	extensionEnd           = 0
	extensionBackingFormat = 0xe2792aca
	extensionDataFile      = 0x44415441
	extensionEncryption    = 0x0537be77
)

// qcow2 is the head of one image with what its tables need.
type qcow2 struct {
	*image
	head        []byte
	clusterBits uint32
	size        uint64
	l1          uint32 // entries
	l1Offset    uint64
	entry       int // bytes of an L2 entry
}

// qcow2 reads the header, then every table, for a read through a table that
// points behind the end of the file is answered with zeros by QEMU.
func (f *image) qcow2() (*header, error) {
	head, err := f.read(0, qcowV2Header)
	if err != nil {
		return nil, err
	}
	q := &qcow2{
		image: f, head: head, clusterBits: be32(head, qcowClusterBits), size: be64(head, qcowSize),
		l1: be32(head, qcowL1Size), l1Offset: be64(head, qcowL1Offset), entry: 8,
	}
	version := be32(head, qcowVersion)
	if string(head[:4]) != "QFI\xfb" || (version != 2 && version != 3) {
		return nil, fmt.Errorf("%w: it is not a qcow2 of version 2 or 3", ErrImage)
	}
	extensions := uint64(qcowV2Header)
	if version == 3 {
		if extensions, err = q.version3(); err != nil {
			return nil, err
		}
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	h := &header{format: QCOW2, size: int64(q.size), cluster: int(q.cluster())}
	if h.backing, err = q.backing(); err != nil {
		return nil, err
	}
	if err := q.extensions(extensions, h); err != nil {
		return nil, err
	}
	return h, q.walk()
}

// version3 looks at the features and returns where header extensions start.
func (q *qcow2) version3() (uint64, error) {
	head, err := q.read(0, qcowV3Header)
	if err != nil {
		return 0, err
	}
	features := be64(head, qcowIncompatible)
	switch {
	case features&qcowDataFile != 0:
		return 0, fmt.Errorf("%w: its data is in another file", ErrImage)
	case features&qcowCorrupt != 0:
		return 0, fmt.Errorf("%w: it is marked as corrupt", ErrImage)
	case features&^uint64(qcowDirty|qcowCompression|qcowExtendedL2) != 0:
		return 0, fmt.Errorf("%w: unknown incompatible features 0x%x", ErrImage, features)
	case features&qcowExtendedL2 != 0:
		q.entry = 16
	}
	length := be32(head, qcowHeaderLength)
	if length < qcowV3Header || length > 512 {
		return 0, fmt.Errorf("%w: header of %d bytes", ErrImage, length)
	}
	return uint64(length), nil
}

// check refuses sizes that QEMU would refuse as well, or should.
func (q *qcow2) check() error {
	if q.clusterBits < 9 || q.clusterBits > 21 {
		return fmt.Errorf("%w: clusters of 2^%d bytes, want 2^9 to 2^21", ErrImage, q.clusterBits)
	}
	if crypt := be32(q.head, qcowCrypt); crypt != 0 {
		return fmt.Errorf("%w: it is encrypted (method %d)", ErrImage, crypt)
	}
	if q.size == 0 || q.size > maxSize {
		return wrongSize(q.size)
	}
	perTable := q.cluster() / uint64(q.entry) * q.cluster()
	need := (q.size + perTable - 1) / perTable
	if uint64(q.l1) < need || uint64(q.l1)*8 > maxL1 || q.l1Offset%q.cluster() != 0 {
		return fmt.Errorf("%w: L1 table of %d entries at %d, want %d to %d", ErrImage, q.l1, q.l1Offset, need, maxL1/8)
	}
	return nil
}

func (q *qcow2) cluster() uint64 { return 1 << q.clusterBits }

// backing returns the name of the backing file; "" if there is none.
func (q *qcow2) backing() (string, error) {
	offset, length := be64(q.head, qcowBackingOffset), be32(q.head, qcowBackingSize)
	if offset == 0 {
		return "", nil
	}
	if length == 0 || length > maxBackingName {
		return "", fmt.Errorf("%w: name of a backing file of %d bytes", ErrImage, length)
	}
	name, err := q.read(offset, int(length))
	return string(name), err
}

// extensions reads the header extensions from an offset to the end of the
// first cluster.
func (q *qcow2) extensions(offset uint64, h *header) error {
	for offset+8 <= q.cluster() {
		b, err := q.read(offset, 8)
		if err != nil {
			return err
		}
		kind, length := be32(b, 0), be32(b, 4)
		if kind == extensionEnd {
			return nil
		}
		if uint64(length) > q.cluster()-offset-8 {
			return fmt.Errorf("%w: header extension of %d bytes", ErrImage, length)
		}
		switch kind {
		case extensionDataFile:
			return fmt.Errorf("%w: its data is in another file", ErrImage)
		case extensionEncryption:
			return fmt.Errorf("%w: it is encrypted (LUKS)", ErrImage)
		case extensionBackingFormat:
			format, err := q.read(offset+8, int(min(length, 16)))
			if err != nil {
				return err
			}
			h.backingFormat = Format(format)
		}
		offset += 8 + (uint64(length)+7)&^7
	}
	return nil
}
