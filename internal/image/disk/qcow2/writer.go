package qcow2

import (
	"fmt"
	"math/bits"
	"os"
	"sync"
)

// maxSize is the largest disk, in bytes: 16 TiB.
const maxSize = 16 << 40

// defaultClusterSize is QEMU's own, in bytes.
const defaultClusterSize = 64 << 10

// Options of an image.
type Options struct {
	ClusterSize int  // bytes, a power of two from 4 KiB to 2 MiB; 0 for DefaultClusterSize
	Compress    bool // whole clusters that become smaller
}

// Writer writes one image. Its methods may be called at the same time, except
// Close.
type Writer struct {
	f        *os.File
	size     int64
	bits     int // log2 of the cluster's size
	compress bool
	deflate  sync.Pool // of *deflater

	mu       sync.Mutex
	tables   map[uint64][]uint64 // L2 tables by their place in the L1 table
	refs     []uint16            // reference count of each cluster of the file
	packed   uint64              // where the next compressed cluster goes
	packEnd  uint64              // end of the file's clusters that it may use
	finished bool
}

// Create starts an image of size bytes, a multiple of 512, in an empty file,
// which stays the caller's to close, and to remove when anything fails. The
// error wraps ErrWrite.
func Create(f *os.File, size int64, o Options) (*Writer, error) {
	if o.ClusterSize == 0 {
		o.ClusterSize = defaultClusterSize
	}
	c := uint(max(o.ClusterSize, 0))
	if c < 4<<10 || c > 2<<20 || bits.OnesCount(c) != 1 {
		return nil, fmt.Errorf("%w: clusters of %d bytes, want a power of two from 4 KiB to 2 MiB", ErrWrite, o.ClusterSize)
	}
	if size < 512 || size > maxSize || size%512 != 0 {
		return nil, fmt.Errorf("%w: a disk of %d bytes, want a multiple of 512 up to %d", ErrWrite, size, int64(maxSize))
	}
	if l1 := size / int64(c) / int64(c) * entryBytes * entryBytes; l1 > maxL1 {
		return nil, fmt.Errorf("%w: a disk of %d bytes needs larger clusters than %d", ErrWrite, size, c)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("start image: %w", err)
	}
	if info.Size() != 0 {
		return nil, fmt.Errorf("%w: the file has %d bytes already", ErrWrite, info.Size())
	}
	w := &Writer{f: f, size: size, bits: bits.TrailingZeros(c), compress: o.Compress, tables: map[uint64][]uint64{}}
	w.refs = []uint16{1} // the header
	return w, nil
}

// Size returns the virtual disk's size in bytes.
func (w *Writer) Size() int64 { return w.size }

// ClusterSize returns the size of a cluster in bytes; pieces of whole clusters
// are written fastest, and they alone are compressed.
func (w *Writer) ClusterSize() int { return 1 << w.bits }

// WriteAt writes a piece of any length to any place of the disk, as
// io.WriterAt does. What a cluster has no bytes for reads as zeros. A cluster
// that was compressed cannot be written again. The error wraps ErrWrite, or is
// the file's.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || int64(len(p)) > w.size-off {
		return 0, fmt.Errorf("%w: %d bytes at %d of a disk of %d", ErrWrite, len(p), off, w.size)
	}
	n := 0
	for n < len(p) {
		at := uint64(off) + uint64(n)
		inside := at & (w.cluster() - 1)
		var length int
		var err error
		if whole := inside == 0 && uint64(len(p)-n) >= w.cluster(); whole && w.compress {
			length = int(w.cluster())
			err = w.writeCompressed(p[n:n+length], at>>w.bits)
		} else {
			length, err = w.writePlain(p[n:], at)
		}
		if err != nil {
			return n, fmt.Errorf("write %d bytes at %d: %w", len(p)-n, at, err)
		}
		n += length
	}
	return n, nil
}

func (w *Writer) cluster() uint64 { return 1 << w.bits }

// perTable is the number of entries of an L2 table.
func (w *Writer) perTable() uint64 { return w.cluster() / entryBytes }

// writePlain writes as much of p as has its place in the file in one piece.
func (w *Writer) writePlain(p []byte, at uint64) (int, error) {
	start, length, err := w.place(at, uint64(len(p)))
	if err != nil {
		return 0, err
	}
	return w.f.WriteAt(p[:length], int64(start))
}

// place returns where in the file the disk's bytes from at on go, and how many
// of them go there one after the other. Clusters that have no place get one.
func (w *Writer) place(at, want uint64) (start, length uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	inside := at & (w.cluster() - 1)
	for number := at >> w.bits; length < want; number++ {
		entry := w.entry(number)
		if w.finished || *entry&compressed != 0 {
			return 0, 0, fmt.Errorf("%w: cluster %d is compressed, or the image is closed", ErrWrite, number)
		}
		if *entry == 0 {
			*entry = w.allocate(1) | copied
		}
		offset := *entry &^ copied
		if length == 0 {
			start = offset + inside
		} else if offset != start+length {
			break
		}
		length += w.cluster() - inside
		inside = 0
	}
	return start, min(length, want), nil
}

// entry returns the L2 entry of a cluster of the disk. The lock must be held.
func (w *Writer) entry(number uint64) *uint64 {
	table := w.tables[number/w.perTable()]
	if table == nil {
		table = make([]uint64, w.perTable())
		w.tables[number/w.perTable()] = table
	}
	return &table[number%w.perTable()]
}

// allocate takes clusters at the end of the file, each used once, and returns
// their offset. The lock must be held.
func (w *Writer) allocate(clusters uint64) uint64 {
	offset := uint64(len(w.refs)) << w.bits
	for range clusters {
		w.refs = append(w.refs, 1)
	}
	return offset
}
