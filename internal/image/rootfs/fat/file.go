package fat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Open opens a file or directory; what it returns is a *File.
func (f *FS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	return &File{fs: f, node: n, size: n.size}, nil
}

// Stat describes a file.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return &info{n}, nil
}

// Lstat is Stat: there are no symbolic links.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.Stat(name) }

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return entries(n), nil
}

func entries(dir *node) (list []fs.DirEntry) {
	for _, n := range dir.list() {
		list = append(list, fs.FileInfoToDirEntry(&info{n}))
	}
	return list
}

// ReadLink refuses: there are no symbolic links.
func (f *FS) ReadLink(name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

// Xattrs returns none.
func (f *FS) Xattrs(name string) (map[string][]byte, error) {
	_, err := f.find("getxattr", name)
	return nil, err
}

// File is an open file or directory.
type File struct {
	fs   *FS
	node *node
	size int64
	at   int64         // of Read
	list []fs.DirEntry // of ReadDir
	read bool
}

// Stat implements fs.File.
func (f *File) Stat() (fs.FileInfo, error) { return &info{f.node}, nil }

// Close implements fs.File.
func (f *File) Close() error { return nil }

// Read implements fs.File.
func (f *File) Read(p []byte) (int, error) {
	if f.node.dir {
		return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: errors.New("is a directory")}
	}
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, offset int64) (read int, err error) {
	if offset < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: fs.ErrInvalid}
	}
	whole := len(p)
	p = p[:max(0, min(int64(whole), f.size-offset))]
	for _, r := range f.node.runs {
		length := int64(r.count) * f.fs.layout.cluster
		if offset >= length {
			offset -= length
			continue
		}
		if len(p) == 0 {
			break
		}
		part := p[:min(int64(len(p)), length-offset)]
		n, err := f.fs.r.ReadAt(part, f.fs.offset(r.first)+offset)
		if read += n; n < len(part) {
			return read, fmt.Errorf("read %s: %w", f.node.name, err)
		}
		p, offset = p[len(part):], 0
	}
	if read < whole {
		return read, io.EOF
	}
	return read, nil
}

// ReadDir implements fs.ReadDirFile.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.node.dir {
		return nil, &fs.PathError{Op: "readdir", Path: f.node.name, Err: errors.New("not a directory")}
	}
	if !f.read {
		f.list, f.read = entries(f.node), true
	}
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	list := f.list[:n]
	f.list = f.list[n:]
	return list, nil
}

// info describes a file.
type info struct{ node *node }

func (i *info) Name() string       { return i.node.name }
func (i *info) Size() int64        { return i.node.size }
func (i *info) Mode() fs.FileMode  { return i.stat().FileMode() }
func (i *info) ModTime() time.Time { return i.node.modTime }
func (i *info) IsDir() bool        { return i.node.dir }
func (i *info) Sys() any           { return i.stat() }

func (i *info) stat() *rootfs.Stat {
	n := i.node
	mode := uint32(rootfs.ModeRegular | 0o644)
	if n.dir {
		mode = rootfs.ModeDir | 0o755
	}
	return &rootfs.Stat{
		Inode: n.inode, Mode: mode, Links: 1, Size: n.size,
		Atime: n.modTime, Mtime: n.modTime, Ctime: n.modTime,
	}
}
