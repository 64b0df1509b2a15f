package qemu

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sector is what QEMU counts a disk in, in bytes: the last one is filled with zeros.
const sector = 512

// raw is an image that is the disk itself.
type raw struct {
	file *os.File
	end  int64 // of the file, in bytes
}

// Size returns the disk's size in bytes.
func (r *raw) Size() int64 { return (r.end + sector - 1) &^ (sector - 1) }

// ReadAt reads as io.ReaderAt does.
func (r *raw) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	want := int(min(int64(len(p)), max(0, r.Size()-off)))
	n, err := r.file.ReadAt(p[:want], off)
	if n < want {
		if !errors.Is(err, io.EOF) || off+int64(n) < r.end {
			return n, errors.Join(err, io.ErrUnexpectedEOF)
		}
		clear(p[n:want])
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// Extent asks the file system for holes, lseek(2). One that does not know them has data
// everywhere.
func (r *raw) Extent(off int64) (length int64, zero bool, err error) {
	data, err := unix.Seek(int(r.file.Fd()), off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // none behind it
		return r.Size() - off, true, nil
	case errors.Is(err, unix.EINVAL):
		return r.Size() - off, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("look for data at %d: %w", off, err)
	case data > off:
		return data - off, true, nil
	}
	hole, err := unix.Seek(int(r.file.Fd()), off, unix.SEEK_HOLE)
	if err != nil {
		return 0, false, fmt.Errorf("look for a hole at %d: %w", off, err)
	}
	if hole >= r.end {
		hole = r.Size()
	}
	return hole - off, false, nil
}
