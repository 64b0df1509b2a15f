package qcow2

import (
	"fmt"
	"io"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// tableCache bounds the L2 tables that a Reader keeps, in bytes. Two are kept of the
// largest, of 2 MiB.
const tableCache = 4 << 20

// Reader reads the disk of one image. Its methods may be called at the same time.
type Reader struct {
	header       *Header
	size         int64 // of the disk, in whole sectors as QEMU has it
	l1           []byte
	tables       *lru.Cache[uint64, []byte] // L2 tables by their place in the L1 table
	decompressor sync.Pool                  // of *decompressor
}

// Open starts to read an image of size bytes, which must not change. It reads the
// header and the L1 table. The error wraps ErrUnsupported where only QEMU can read the
// image, ErrImage where nobody should.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	h, err := ReadHeader(r, size)
	if err != nil {
		return nil, err
	}
	if h.Backing != "" || h.ExtendedL2 {
		return nil, fmt.Errorf("%w: backing file %.200q, extended L2 tables %t", ErrUnsupported, h.Backing, h.ExtendedL2)
	}
	l1, err := h.readL1()
	if err != nil {
		return nil, err
	}
	tables, err := lru.New[uint64, []byte](max(2, tableCache/h.ClusterSize))
	if err != nil {
		return nil, err
	}
	return &Reader{header: h, size: h.Size &^ 511, l1: l1, tables: tables}, nil
}

// Size returns the virtual disk's size in bytes.
func (r *Reader) Size() int64 { return r.size }

// ReadAt reads as io.ReaderAt does. The error wraps ErrImage where the image is
// damaged. Whole clusters are read fastest: of one that is compressed the rest is
// decompressed as well.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	want := int(min(int64(len(p)), max(0, r.size-off)))
	for n := 0; n < want; {
		length, err := r.readSome(p[n:want], uint64(off)+uint64(n))
		if err != nil {
			return n, fmt.Errorf("read %d bytes at %d: %w", want-n, off+int64(n), err)
		}
		n += length
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// readSome reads what lies in the file in one piece.
func (r *Reader) readSome(p []byte, at uint64) (int, error) {
	h := r.header
	first, err := r.find(at)
	if err != nil {
		return 0, err
	}
	within := at & (h.cluster() - 1)
	n := int(min(uint64(len(p)), h.cluster()-within))
	switch {
	case first.length > 0:
		return n, r.decompress(p[:n], first, within)
	case first.offset == 0:
		clear(p[:n])
		return n, nil
	}
	for n < len(p) {
		next, err := r.find(at + uint64(n))
		if err != nil {
			return 0, err
		}
		if next.length > 0 || next.offset != first.offset+within+uint64(n) {
			break
		}
		n = int(min(uint64(len(p)), uint64(n)+h.cluster()))
	}
	return n, h.image.fill(p[:n], first.offset+within)
}

// find returns where the cluster is that has a byte of the disk.
func (r *Reader) find(at uint64) (place, error) {
	h := r.header
	number := at >> h.bits
	table, err := r.table(number / h.perTable())
	if table == nil || err != nil {
		return place{}, err
	}
	return h.place(be64(table, int(number%h.perTable())*entryBytes), at&^(h.cluster()-1))
}

// table returns an L2 table, or nil where there is none.
func (r *Reader) table(number uint64) ([]byte, error) {
	offset := be64(r.l1, int(number)*entryBytes) & entryOffset
	if offset == 0 {
		return nil, nil
	}
	if table, found := r.tables.Get(number); found {
		return table, nil
	}
	table, err := r.header.readL2(number, offset)
	if err != nil {
		return nil, err
	}
	r.tables.Add(number, table)
	return table, nil
}

// Extent tells whether the bytes from an offset of the disk on are data, or read as
// zeros without being stored, and how many of them are for certain.
func (r *Reader) Extent(off int64) (length int64, zero bool, err error) {
	if off < 0 || off >= r.size {
		return 0, false, fmt.Errorf("extent at %d of a disk of %d bytes", off, r.size)
	}
	h := r.header
	span := int64(h.perTable() * h.cluster())
	end := min(r.size, (off/span+1)*span) // of the L2 table
	table, err := r.table(uint64(off / span))
	if err != nil {
		return 0, false, err
	}
	if table == nil {
		return end - off, true, nil
	}
	for at := off; at < end; at = at&^(int64(h.cluster())-1) + int64(h.cluster()) {
		p, err := r.find(uint64(at))
		if err != nil {
			return 0, false, err
		}
		if is := p == (place{}); at == off {
			zero = is
		} else if is != zero {
			return at - off, zero, nil
		}
	}
	return end - off, zero, nil
}
