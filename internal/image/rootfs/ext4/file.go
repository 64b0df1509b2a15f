package ext4

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// dirEntry is an fs.DirEntry whose inode is read when it is asked for.
type dirEntry struct {
	fs *FS
	entry
	mode fs.FileMode
}

func (d *dirEntry) Name() string      { return d.name }
func (d *dirEntry) IsDir() bool       { return d.mode.IsDir() }
func (d *dirEntry) Type() fs.FileMode { return d.mode }
func (d *dirEntry) String() string    { return fs.FormatDirEntry(d) }
func (d *dirEntry) Info() (fs.FileInfo, error) {
	in, err := d.fs.inode(d.inode)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: d.name, Err: err}
	}
	return &rootfs.FileInfo{FileName: d.name, Stat: in.stat}, nil
}

// list reads a directory, sorted by name.
func (f *FS) list(in *inode) ([]fs.DirEntry, error) {
	if !in.is(rootfs.ModeDir) {
		return nil, errors.New("not a directory")
	}
	var found []entry
	if err := f.entries(in, func(e entry) bool {
		found = append(found, e)
		return len(found) <= maxDirEntries
	}); err != nil {
		return nil, err
	}
	if len(found) > maxDirEntries {
		return nil, corrupt("directory %d has more than %d entries", in.number, maxDirEntries)
	}
	slices.SortFunc(found, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	list := make([]fs.DirEntry, 0, len(found))
	for _, e := range found {
		mode := modeOf(e.fileType)
		if mode == 0 {
			child, err := f.inode(e.inode)
			if err != nil {
				return nil, err
			}
			mode = child.stat.Mode
		}
		list = append(list, &dirEntry{f, e, (&rootfs.Stat{Mode: mode}).FileMode().Type()})
	}
	return list, nil
}

// File is an open file or directory. Besides fs.File it is an io.ReaderAt and
// io.Seeker, and an fs.ReadDirFile if it is a directory.
type File struct {
	fs   *FS
	in   *inode
	name string

	mu     sync.Mutex
	offset int64
	hint   placed
	left   []fs.DirEntry // of a directory, what ReadDir has yet to return
	listed bool
}

// Stat describes the file.
func (o *File) Stat() (fs.FileInfo, error) {
	return &rootfs.FileInfo{FileName: path.Base(o.name), Stat: o.in.stat}, nil
}

// Close does nothing.
func (o *File) Close() error { return nil }

// Read reads on.
func (o *File) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.in.is(rootfs.ModeRegular) {
		return 0, o.fail("read", errors.New("not a regular file"))
	}
	n, err := o.fs.readAt(o.in, p, o.offset, &o.hint)
	o.offset += int64(n)
	if n > 0 && errors.Is(err, io.EOF) || len(p) == 0 {
		err = nil
	}
	return n, o.fail("read", err)
}

// ReadAt reads at an offset.
func (o *File) ReadAt(p []byte, offset int64) (int, error) {
	if !o.in.is(rootfs.ModeRegular) {
		return 0, o.fail("read", errors.New("not a regular file"))
	}
	n, err := o.fs.readAt(o.in, p, offset, &placed{})
	return n, o.fail("read", err)
}

// Seek sets where Read goes on.
func (o *File) Seek(offset int64, whence int) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.in.stat.Size
	default:
		return 0, o.fail("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, o.fail("seek", fs.ErrInvalid)
	}
	o.offset = offset
	return offset, nil
}

// ReadDir returns the next n entries, sorted by name, or all if n is not
// positive.
func (o *File) ReadDir(n int) ([]fs.DirEntry, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.listed {
		list, err := o.fs.list(o.in)
		if err != nil {
			return nil, o.fail("readdir", err)
		}
		o.left, o.listed = list, true
	}
	if n > 0 && len(o.left) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(o.left) {
		n = len(o.left)
	}
	list := o.left[:n]
	o.left = o.left[n:]
	return list, nil
}

// fail says which file an error is about; io.EOF stays as it is.
func (o *File) fail(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, rootfs.ErrCorrupt) {
		return err
	}
	return &fs.PathError{Op: op, Path: o.name, Err: err}
}
