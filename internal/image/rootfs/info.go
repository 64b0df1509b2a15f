package rootfs

import (
	"io/fs"
	"time"
)

// FileInfo is the fs.FileInfo of a Stat.
type FileInfo struct {
	FileName string // without its directory
	Stat     Stat
}

// Name returns the file's name.
func (i *FileInfo) Name() string { return i.FileName }

// Size returns the length of its content in bytes.
func (i *FileInfo) Size() int64 { return i.Stat.Size }

// Mode returns its type and permissions.
func (i *FileInfo) Mode() fs.FileMode { return i.Stat.FileMode() }

// ModTime returns when its content was changed last.
func (i *FileInfo) ModTime() time.Time { return i.Stat.Mtime }

// IsDir says whether it is a directory.
func (i *FileInfo) IsDir() bool { return i.Mode().IsDir() }

// Sys returns the *Stat.
func (i *FileInfo) Sys() any { return &i.Stat }
