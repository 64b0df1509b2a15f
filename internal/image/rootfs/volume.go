package rootfs

import (
	"errors"
	"io/fs"
	"iter"
	"time"
)

var (
	// ErrCorrupt is a file system that contradicts itself or its checksums.
	ErrCorrupt = errors.New("damaged file system")
	// ErrUnsupported is a file system of a kind or with a feature that is not read.
	ErrUnsupported = errors.New("unsupported file system")
	// ErrFull is a file system without room for the changes.
	ErrFull = errors.New("file system is full")
	// ErrProgram is a program that is not installed; the message names its package.
	ErrProgram = errors.New("missing program")
	// ErrChange is a change that does not fit the file system or cannot be expressed.
	ErrChange = errors.New("impossible change")
)

// Volume is a file system that is read without mounting it. It is safe for
// concurrent use.
//
// Names are slash-separated, relative to the root, which is "."; unlike
// fs.ValidPath asks, their bytes need not be UTF-8. Symbolic links are followed
// inside the image only: an absolute target starts at its root and ".." stops
// there. Lstat, ReadLink and Xattrs do not follow the last one. The Sys of a
// FileInfo is a *Stat. Errors are *fs.PathError and may wrap ErrCorrupt.
//
// A hostile image can give a directory many names, so that a walk through all of
// it never ends: bound such walks, or have the file system checked before.
type Volume interface {
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS

	// Xattrs returns the extended attributes by their full names, in the form
	// that getxattr(2) gives.
	Xattrs(name string) (map[string][]byte, error)
	// Type is Ext4, XFS, Btrfs or FAT.
	Type() Type
	// UUID is in the 36-character lower-case form; FAT has a serial number, "1A2B-3C4D".
	UUID() string
	// Label may hold any bytes but NUL.
	Label() string
	// Size is the length of the file system in bytes; what lies behind it in a
	// partition is not part of it.
	Size() int64
	// Used yields the ranges that hold anything the file system needs, in
	// increasing order, apart from each other. All that is not known to be free
	// is used. An error ends it.
	Used() iter.Seq2[Range, error]
}

// Range is a piece of a volume, in bytes.
type Range struct {
	Offset, Length int64
}

// Stat is what an inode says, as stat(2) gives it.
type Stat struct {
	Inode               uint64
	Mode                uint32 // st_mode: type and permissions
	UID, GID            uint32
	Links               uint32
	Size                int64 // bytes
	Blocks              int64 // allocated, in units of 512 bytes
	Atime, Mtime, Ctime time.Time
	Major, Minor        uint32 // of a device
}

// The types of st_mode.
const (
	ModeType    = 0o170000
	ModeFIFO    = 0o010000
	ModeChar    = 0o020000
	ModeDir     = 0o040000
	ModeBlock   = 0o060000
	ModeRegular = 0o100000
	ModeSymlink = 0o120000
	ModeSocket  = 0o140000
)

// FileMode translates Mode for io/fs.
func (s *Stat) FileMode() fs.FileMode {
	mode := fs.FileMode(s.Mode & 0o777)
	switch s.Mode & ModeType {
	case ModeFIFO:
		mode |= fs.ModeNamedPipe
	case ModeChar:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case ModeDir:
		mode |= fs.ModeDir
	case ModeBlock:
		mode |= fs.ModeDevice
	case ModeRegular:
	case ModeSymlink:
		mode |= fs.ModeSymlink
	case ModeSocket:
		mode |= fs.ModeSocket
	default:
		mode |= fs.ModeIrregular
	}
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if s.Mode&bit != 0 {
			mode |= flag
		}
	}
	return mode
}
