package rootfs

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// maxCopied bounds how many files CopyTree takes, and how many bytes they hold:
// a hostile directory can go on without end.
const (
	maxCopied      = 100_000
	maxCopiedBytes = 8 << 30
)

// CopyTree lists the changes that put all that is below a volume's directory
// below another one, with owners, modes, times, attributes and hard links. The
// volume has to stay open until they are applied. Sockets and, at the volume's
// root, lost+found are left out. The directory itself is not among the changes.
func CopyTree(source Volume, dir, target string) ([]Change, error) {
	var changes []Change
	first := map[uint64]string{} // of files with several names, where the first was put
	left := int64(maxCopiedBytes)
	err := fs.WalkDir(source, dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		if name == "lost+found" {
			return fs.SkipDir
		}
		c, stat, err := copyOf(source, name)
		if err != nil {
			return err
		}
		if left -= stat.Size; left < 0 || len(changes) >= maxCopied {
			return fmt.Errorf("%w: %s is too large to be copied", ErrUnsupported, dir)
		}
		c.Path = path.Join(target, strings.TrimPrefix(name, strings.TrimPrefix(dir+"/", "./")))
		switch at, seen := first[stat.Inode]; {
		case c.Kind == 0:
			return nil
		case seen:
			c = &Change{Kind: HardLink, Path: c.Path, Target: at}
		case stat.Links > 1 && c.Kind != MakeDir:
			first[stat.Inode] = c.Path
		}
		changes = append(changes, *c)
		return nil
	})
	return changes, err
}

// copyOf is the change that makes a file like another; its kind is 0 for those
// that are not copied.
func copyOf(source Volume, name string) (*Change, *Stat, error) {
	found, err := source.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	stat, ok := found.Sys().(*Stat)
	if !ok {
		return nil, nil, fmt.Errorf("%s: %w", name, ErrUnsupported)
	}
	c := &Change{Mode: stat.Mode & 0o7777, UID: stat.UID, GID: stat.GID, ModTime: stat.Mtime}
	switch stat.Mode & ModeType {
	case ModeRegular:
		c.Kind = WriteFile
		c.Open = func() (io.ReadCloser, error) { return source.Open(name) }
	case ModeDir:
		c.Kind = MakeDir
	case ModeSymlink:
		c.Kind, c.Mode = Symlink, 0
		if c.Target, err = source.ReadLink(name); err != nil {
			return nil, nil, err
		}
	case ModeChar, ModeBlock, ModeFIFO:
		c.Kind, c.Mode, c.Major, c.Minor = MakeNode, stat.Mode, stat.Major, stat.Minor
	default:
		return c, stat, nil
	}
	if c.Xattrs, err = source.Xattrs(name); err != nil {
		return nil, nil, err
	}
	return c, stat, nil
}
