package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/nbd"
)

// Disk is an image that is being read. Its methods may be called at the same
// time.
type Disk struct {
	backend backend
	reader  io.ReaderAt // of the backend
	cluster int
}

// backend is who reads an image: this process, or qemu-nbd.
type backend interface {
	io.ReaderAt
	Size() int64
	Extents(offset, length int64) ([]nbd.Extent, error)
	Close() error
}

// Open opens an image to be read. That ends with Close or with the context, and leaves
// no file behind. The error wraps ErrNoProgram when it takes qemu-nbd, which is not
// installed, ErrImage when the image is refused or in use.
func Open(ctx context.Context, source *Source) (*Disk, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open image %s: %w", source.Path, err)
	}
	own, err := openDirect(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", source.Path, err)
	}
	if own != nil {
		return newDisk(own, source, readOnly)
	}
	served, err := openServed(ctx, source, readOnly)
	if err != nil {
		return nil, err
	}
	return newDisk(served, source, readOnly)
}

// access is what may be done with an image.
type access bool

const (
	readOnly  access = true
	readWrite access = false
)

// newDisk takes the backend over.
func newDisk(b backend, source *Source, a access) (*Disk, error) {
	d := &Disk{backend: b, reader: b, cluster: source.ClusterSize}
	if n := d.Size(); n < 1 || n > maxSize {
		return nil, errors.Join(fmt.Errorf("%s: %w", source.Path, wrongSize(uint64(n))), d.Close())
	}
	if a == readOnly && d.cluster > 0 {
		var err error
		if d.reader, err = newClusters(b, int64(d.cluster), d.Size()); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// ReadAt reads as io.ReaderAt does.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) { return d.reader.ReadAt(p, off) }

// Size returns the virtual disk's size in bytes.
func (d *Disk) Size() int64 { return d.backend.Size() }

// Extents tells data from what reads as zeros without being stored, as
// nbd.Conn.Extents does.
func (d *Disk) Extents(offset, length int64) ([]nbd.Extent, error) {
	return d.backend.Extents(offset, length)
}

// Close ends the reading, and qemu-nbd.
func (d *Disk) Close() error { return d.backend.Close() }
