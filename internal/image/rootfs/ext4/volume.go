package ext4

import (
	"io/fs"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// at does something with the inode of a name and says which name an error is
// about.
func at[T any](f *FS, op, name string, follow bool, do func(*inode) (T, error)) (T, error) {
	in, err := f.resolve(name, follow)
	if err == nil {
		var result T
		if result, err = do(in); err == nil {
			return result, nil
		}
	}
	var none T
	return none, &fs.PathError{Op: op, Path: name, Err: err}
}

// Open opens a file or directory; what it returns is a *File.
func (f *FS) Open(name string) (fs.File, error) {
	return at(f, "open", name, true, func(in *inode) (fs.File, error) {
		return &File{fs: f, in: in, name: name}, nil
	})
}

// Stat describes a file, following symbolic links.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	return at(f, "stat", name, true, func(in *inode) (fs.FileInfo, error) {
		return &rootfs.FileInfo{FileName: path.Base(name), Stat: in.stat}, nil
	})
}

// Lstat describes a file or symbolic link.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	return at(f, "lstat", name, false, func(in *inode) (fs.FileInfo, error) {
		return &rootfs.FileInfo{FileName: path.Base(name), Stat: in.stat}, nil
	})
}

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	return at(f, "readdir", name, true, f.list)
}

// ReadLink returns the target of a symbolic link, as it is.
func (f *FS) ReadLink(name string) (string, error) {
	return at(f, "readlink", name, false, f.readLink)
}

// Xattrs returns the extended attributes of a file or symbolic link.
func (f *FS) Xattrs(name string) (map[string][]byte, error) {
	return at(f, "getxattr", name, false, f.xattrs)
}
