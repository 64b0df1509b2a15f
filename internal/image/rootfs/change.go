package rootfs

import (
	"io"
	"time"
)

// Kind says what a change does.
type Kind int

// The kinds of change.
const (
	// WriteFile puts a regular file at Path, with Content, or what the host's file
	// Source holds, or what Open gives. It replaces any file or symbolic link that
	// is there, and does not write through either.
	WriteFile Kind = iota + 1
	// MakeDir makes a directory. One that is there already stays as it is.
	MakeDir
	// Symlink puts a symbolic link to Target at Path and replaces as WriteFile does.
	Symlink
	// HardLink gives the file at the path Target a second name. It replaces as
	// WriteFile does and takes no attributes of its own.
	HardLink
	// MakeNode makes a device or FIFO: the type is in Mode, the numbers are Major
	// and Minor. It replaces as WriteFile does.
	MakeNode
	// Remove takes away a file or a directory with all that is in it. Nothing at
	// Path is no error.
	Remove
)

// Change is one step of an edit. Steps happen in order and see what those
// before them did. Symbolic links on the way to Path are followed inside the
// image; the last one is not. Directories that are missing on the way are made,
// root's, with mode 0755.
type Change struct {
	Kind Kind
	Path string // relative to the root, slash-separated; a leading slash may be there

	Mode     uint32 // permissions, 0 to 07777; with the type for MakeNode
	UID, GID uint32
	ModTime  time.Time // becomes all of the inode's times; zero means now

	Content      []byte                        // for WriteFile
	Source       string                        // for WriteFile, instead of Content; holes stay holes
	Open         func() (io.ReadCloser, error) // for WriteFile, instead of both; zeros become holes
	Target       string                        // for Symlink, and the other path for HardLink
	Major, Minor uint32                        // for MakeNode
	Xattrs       map[string][]byte             // by full name, as getxattr(2) gives them
}
