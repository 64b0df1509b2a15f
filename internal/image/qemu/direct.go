package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/nbd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
)

// maxExtents bounds the answer of Extents, as nbd has it.
const maxExtents = 1 << 20

// direct is an image that this process reads itself.
type direct struct {
	format
	file  *os.File     // with QEMU's locks
	ended func() error // nil as long as it may be read
}

// format is what a file means.
type format interface {
	io.ReaderAt
	Size() int64
	// Extent tells whether the bytes from an offset on are data, or read as zeros without
	// being stored, and how many of them are for certain.
	Extent(off int64) (length int64, zero bool, err error)
}

// openDirect opens a raw image, or a qcow2 that stands alone. It returns nil for all
// others, which QEMU reads.
func openDirect(ctx context.Context, source *Source) (*direct, error) {
	if source.Backing != nil || (source.Format != Raw && source.Format != QCOW2) {
		return nil, nil
	}
	f, err := openRegular(source.Path, os.Stat, os.Open)
	if err != nil {
		return nil, err
	}
	d := &direct{file: f, ended: ctx.Err}
	if err = lockToRead(f); err == nil {
		d.format, err = openFormat(f, source.Format)
	}
	switch {
	case errors.Is(err, qcow2.ErrUnsupported):
		return nil, f.Close()
	case err != nil:
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func openFormat(f *os.File, name Format) (format, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if name == QCOW2 {
		return qcow2.Open(f, info.Size())
	}
	return &raw{f, info.Size()}, nil
}

// ReadAt reads as io.ReaderAt does, until the context has ended.
func (d *direct) ReadAt(p []byte, off int64) (int, error) {
	if err := d.ended(); err != nil {
		return 0, fmt.Errorf("read image: %w", err)
	}
	return d.format.ReadAt(p, off)
}

// Extents does what nbd.Conn.Extents does.
func (d *direct) Extents(offset, length int64) ([]nbd.Extent, error) {
	if offset < 0 || length < 0 || length > d.Size()-offset {
		return nil, fmt.Errorf("extents of %d bytes at %d: the disk has %d", length, offset, d.Size())
	}
	var all []nbd.Extent
	for end := offset + length; offset < end; {
		if err := d.ended(); err != nil {
			return nil, fmt.Errorf("read image: %w", err)
		}
		n, zero, err := d.Extent(offset)
		if err != nil {
			return nil, err
		}
		n = min(n, end-offset)
		if last := len(all) - 1; last >= 0 && all[last].Zero == zero {
			all[last].Length += n
		} else {
			all = append(all, nbd.Extent{Offset: offset, Length: n, Zero: zero})
		}
		if len(all) > maxExtents {
			return nil, fmt.Errorf("%w: more than %d extents", ErrImage, maxExtents)
		}
		offset += n
	}
	return all, nil
}

// Close closes the file, which ends its locks.
func (d *direct) Close() error { return d.file.Close() }
