package ext4

import (
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// Bounds of the work that one path may cause.
const (
	maxLinks   = 40
	maxScanned = 512 << 20 // bytes of directories
)

// walk is a path on its way to an inode.
type walk struct {
	fs      *FS
	stack   []*inode // from the root to where it is; ".." goes back on it
	pending []string // names to go through, the next one last
	links   int      // symbolic links followed
	scanned int64    // bytes of directories read
}

// resolve finds the inode of a name. The last symbolic link is followed when
// follow says so.
func (f *FS) resolve(name string, follow bool) (*inode, error) {
	if !validPath(name) {
		return nil, fs.ErrInvalid
	}
	root, err := f.inode(rootInode)
	if err != nil {
		return nil, err
	}
	w := &walk{fs: f, stack: []*inode{root}}
	w.push(name)
	for len(w.pending) > 0 {
		if err := w.step(follow); err != nil {
			return nil, err
		}
	}
	return w.here(), nil
}

// validPath is fs.ValidPath for names of any bytes.
func validPath(name string) bool {
	return name == "." || name != "" && name[0] != '/' && path.Clean(name) == name && name != ".." &&
		!strings.HasPrefix(name, "../") && !strings.Contains(name, "\x00")
}

func (w *walk) here() *inode { return w.stack[len(w.stack)-1] }

// push puts the names of a path in front of those that are pending.
func (w *walk) push(name string) {
	names := strings.Split(name, "/")
	for i := len(names) - 1; i >= 0; i-- {
		w.pending = append(w.pending, names[i])
	}
}

// step goes through one name.
func (w *walk) step(follow bool) error {
	dir := w.here()
	if !dir.is(rootfs.ModeDir) {
		return syscall.ENOTDIR
	}
	name := w.pending[len(w.pending)-1]
	w.pending = w.pending[:len(w.pending)-1]
	switch name {
	case "", ".":
		return nil
	case "..":
		w.stack = w.stack[:max(1, len(w.stack)-1)]
		return nil
	}
	if w.scanned += dir.stat.Size; w.scanned > maxScanned {
		return corrupt("a path leads through %d bytes of directories", w.scanned)
	}
	number, err := w.fs.find(dir, name)
	if err != nil {
		return err
	}
	if number == 0 {
		return fs.ErrNotExist
	}
	in, err := w.fs.inode(number)
	if err != nil {
		return err
	}
	if in.is(rootfs.ModeSymlink) && (follow || len(w.pending) > 0) {
		return w.followLink(in)
	}
	for _, above := range w.stack {
		if above.number == number {
			return corrupt("directory %d contains itself", number)
		}
	}
	w.stack = append(w.stack, in)
	return nil
}

// followLink goes on with the target of a symbolic link.
func (w *walk) followLink(in *inode) error {
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	target, err := w.fs.readLink(in)
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, "/") {
		w.stack = w.stack[:1]
	}
	w.push(target)
	return nil
}
