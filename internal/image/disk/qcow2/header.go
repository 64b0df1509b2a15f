package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Bounds of a header that is read.
const (
	v2Header       = 72 // bytes
	v3Header       = 104
	maxHeader      = 512
	maxBackingName = 1023
)

// Incompatible features. Dirty concerns the reference counts only.
const (
	featureDirty       = 1 << 0
	featureCorrupt     = 1 << 1
	featureDataFile    = 1 << 2
	featureCompression = 1 << 3
	featureExtendedL2  = 1 << 4
)

// Header extensions.
const (
	extensionEnd           = 0
	extensionBackingFormat = 0xe2792aca
	extensionDataFile      = 0x44415441
	extensionEncryption    = 0x0537be77
)

// Header is what the head of an image says.
type Header struct {
	Size          int64  // of the virtual disk, in bytes
	ClusterSize   int    // bytes
	Backing       string // the name of the backing file; "" if there is none
	BackingFormat string // "" if the image does not say
	ExtendedL2    bool   // clusters have parts of their own
	zstd          bool   // how clusters are compressed; else deflate

	image    *image
	version  uint32
	bits     uint32 // log2 of the cluster's size
	l1       uint32 // entries
	l1Offset uint64
}

// image is an image file that is being read.
type image struct {
	r    io.ReaderAt
	size int64 // of the file, in bytes
}

// read returns length bytes of the file at an offset, all of them.
func (f *image) read(offset uint64, length int) ([]byte, error) {
	return ReadWhole(f.r, f.size, offset, length)
}

// ReadWhole returns length bytes at an offset of an image file of size bytes, all of
// them. The error wraps ErrImage when the file does not have them.
func ReadWhole(r io.ReaderAt, size int64, offset uint64, length int) ([]byte, error) {
	if offset > uint64(size) || int64(length) > size-int64(offset) {
		return nil, fmt.Errorf("%w: it ends before byte %d: truncated, or points outside of itself", ErrImage, offset+uint64(length))
	}
	b := make([]byte, length)
	if n, err := r.ReadAt(b, int64(offset)); n < length {
		return nil, fmt.Errorf("read at %d: %w", offset, err)
	}
	return b, nil
}

// fill reads what the file has at an offset, and zeros behind its end, where the last
// sector may be.
func (f *image) fill(p []byte, offset uint64) error {
	n, err := f.r.ReadAt(p, int64(offset))
	if n < len(p) && (!errors.Is(err, io.EOF) || int64(offset)+int64(n) < f.size) {
		return fmt.Errorf("read %d bytes at %d of the file: %w", len(p), offset, errors.Join(err, io.ErrUnexpectedEOF))
	}
	clear(p[n:])
	return nil
}

// ReadHeader reads the head of an image file of size bytes. It reads no table. The
// error wraps ErrImage, or is the file's.
func ReadHeader(r io.ReaderAt, size int64) (*Header, error) {
	f := &image{r: r, size: size}
	head, err := f.read(0, v2Header)
	if err != nil {
		return nil, err
	}
	h := &Header{
		image: f, version: be32(head, offVersion), bits: be32(head, offClusterBits), l1: be32(head, offL1Size), l1Offset: be64(head, offL1),
	}
	if string(head[:4]) != magic || (h.version != 2 && h.version != version) {
		return nil, fmt.Errorf("%w: it is not a qcow2 of version 2 or 3", ErrImage)
	}
	extensions := uint64(v2Header)
	if h.version == version {
		if extensions, err = h.version3(); err != nil {
			return nil, err
		}
	}
	if err := h.check(head); err != nil {
		return nil, err
	}
	if h.Backing, err = h.backing(head); err != nil {
		return nil, err
	}
	return h, h.extensions(extensions)
}

// version3 looks at the features and returns where header extensions start.
func (h *Header) version3() (uint64, error) {
	head, err := h.image.read(0, v3Header)
	if err != nil {
		return 0, err
	}
	features := be64(head, offIncompatible)
	switch {
	case features&featureDataFile != 0:
		return 0, fmt.Errorf("%w: its data is in another file", ErrImage)
	case features&featureCorrupt != 0:
		return 0, fmt.Errorf("%w: it is marked as corrupt", ErrImage)
	case features&^uint64(featureDirty|featureCompression|featureExtendedL2) != 0:
		return 0, fmt.Errorf("%w: unknown incompatible features 0x%x", ErrImage, features)
	}
	h.ExtendedL2 = features&featureExtendedL2 != 0
	length := be32(head, offHeaderLength)
	if length < v3Header || length > maxHeader {
		return 0, fmt.Errorf("%w: header of %d bytes", ErrImage, length)
	}
	compression := byte(0)
	if length > offCompression {
		b, err := h.image.read(offCompression, 1)
		if err != nil {
			return 0, err
		}
		compression = b[0]
	}
	if compression > 1 || (compression == 0) != (features&featureCompression == 0) {
		return 0, fmt.Errorf("%w: compression type %d with incompatible features 0x%x", ErrImage, compression, features)
	}
	h.zstd = compression == 1
	return uint64(length), nil
}

// check refuses sizes that QEMU would refuse as well, or should.
func (h *Header) check(head []byte) error {
	if h.bits < minClusterBits || h.bits > maxClusterBits {
		return fmt.Errorf("%w: clusters of 2^%d bytes, want 2^9 to 2^21", ErrImage, h.bits)
	}
	h.ClusterSize = 1 << h.bits
	if crypt := be32(head, offCrypt); crypt != 0 {
		return fmt.Errorf("%w: it is encrypted (method %d)", ErrImage, crypt)
	}
	total := be64(head, offSize)
	if total == 0 {
		return fmt.Errorf("%w: the virtual disk is empty", ErrImage)
	}
	if total > maxSize {
		return fmt.Errorf("%w: a virtual disk of %s, at most %s are taken", ErrImage, size.Text(int64(min(total, math.MaxInt64))), size.Text(maxSize))
	}
	h.Size = int64(total)
	perTable := h.perTable() * h.cluster()
	need := (total + perTable - 1) / perTable
	if uint64(h.l1) < need || uint64(h.l1)*entryBytes > maxL1 || h.l1Offset%h.cluster() != 0 {
		return fmt.Errorf("%w: L1 table of %d entries at %d, want %d to %d", ErrImage, h.l1, h.l1Offset, need, maxL1/entryBytes)
	}
	return nil
}

func (h *Header) cluster() uint64 { return 1 << h.bits }

// entry is how many bytes an entry of an L2 table has.
func (h *Header) entry() uint64 {
	if h.ExtendedL2 {
		return 2 * entryBytes
	}
	return entryBytes
}

// perTable is the number of entries of an L2 table.
func (h *Header) perTable() uint64 { return h.cluster() / h.entry() }

// backing returns the name of the backing file; "" if there is none.
func (h *Header) backing(head []byte) (string, error) {
	offset, length := be64(head, offBacking), be32(head, offBackingSize)
	if offset == 0 {
		return "", nil
	}
	if length == 0 || length > maxBackingName {
		return "", fmt.Errorf("%w: name of a backing file of %d bytes", ErrImage, length)
	}
	name, err := h.image.read(offset, int(length))
	return string(name), err
}

// extensions reads the header extensions from an offset to the end of the
// first cluster.
func (h *Header) extensions(offset uint64) error {
	for offset+8 <= h.cluster() {
		b, err := h.image.read(offset, 8)
		if err != nil {
			return err
		}
		kind, length := be32(b, 0), be32(b, 4)
		if kind == extensionEnd {
			return nil
		}
		if uint64(length) > h.cluster()-offset-8 {
			return fmt.Errorf("%w: header extension of %d bytes", ErrImage, length)
		}
		switch kind {
		case extensionDataFile:
			return fmt.Errorf("%w: its data is in another file", ErrImage)
		case extensionEncryption:
			return fmt.Errorf("%w: it is encrypted (LUKS)", ErrImage)
		case extensionBackingFormat:
			format, err := h.image.read(offset+8, int(min(length, 16)))
			if err != nil {
				return err
			}
			h.BackingFormat = string(format)
		}
		offset += 8 + (uint64(length)+7)&^7
	}
	return nil
}

func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func be64(b []byte, at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
