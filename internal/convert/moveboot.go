package convert

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs"
)

// Limits of what a separate /boot may hold. Ubuntu's has some 300 files and
// 200 MiB.
const (
	maxBootFiles = 100_000
	maxBootBytes = 4 << 30
)

// bootMover turns the files of a separate /boot into changes of the root.
type bootMover struct {
	from    rootfs.Volume
	scratch string // directory for their contents
	changes []rootfs.Change
	seen    map[uint64]string // inodes with several names
	bytes   int64
}

// moveBoot returns the changes that put everything of a separate /boot into the
// directory /boot of the root. Contents go through scratch, a directory for it
// alone.
func moveBoot(from rootfs.Volume, scratch string) ([]rootfs.Change, error) {
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return nil, err
	}
	m := &bootMover{from: from, scratch: scratch, seen: map[uint64]string{}}
	if err := m.dir("."); err != nil {
		return nil, fmt.Errorf("move /boot into the root: %w", err)
	}
	return m.changes, nil
}

func (m *bootMover) dir(name string) error {
	entries, err := m.from.ReadDir(name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := path.Join(name, e.Name())
		if child == "lost+found" || child == "efi" {
			continue // belongs to the file system; mount point of the ESP
		}
		if len(m.changes) == maxBootFiles {
			return fmt.Errorf("more than %d files", maxBootFiles)
		}
		if err := m.entry(child); err != nil {
			return fmt.Errorf("%q: %w", child, err)
		}
	}
	return nil
}

func (m *bootMover) entry(name string) error {
	info, err := m.from.Lstat(name)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*rootfs.Stat)
	if !ok {
		return errors.New("has no attributes")
	}
	change := rootfs.Change{
		Path: path.Join("boot", name), Mode: stat.Mode & 0o7777, UID: stat.UID, GID: stat.GID, ModTime: stat.Mtime,
	}
	if first, ok := m.seen[stat.Inode]; ok {
		change.Kind, change.Target = rootfs.HardLink, first
		m.changes = append(m.changes, change)
		return nil
	}
	if stat.Links > 1 && !info.IsDir() {
		m.seen[stat.Inode] = change.Path
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		change.Kind = rootfs.MakeDir
		m.changes = append(m.changes, change)
		return m.dir(name)
	case fs.ModeSymlink:
		change.Kind = rootfs.Symlink
		change.Target, err = m.from.ReadLink(name)
	case 0:
		change.Kind = rootfs.WriteFile
		if change.Xattrs, err = m.from.Xattrs(name); err == nil {
			change.Source, err = m.content(name)
		}
	default:
		return errors.New("is a device, socket or FIFO, which does not belong into /boot")
	}
	m.changes = append(m.changes, change)
	return err
}

// content copies a file to the scratch directory, under a name of ours.
func (m *bootMover) content(name string) (string, error) {
	in, err := m.from.Open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	target := path.Join(m.scratch, strconv.Itoa(len(m.changes)))
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	n, err := io.Copy(out, io.LimitReader(in, maxBootBytes-m.bytes+1))
	if m.bytes += n; err == nil && m.bytes > maxBootBytes {
		err = fmt.Errorf("/boot holds more than %d bytes", maxBootBytes)
	}
	if err != nil {
		return "", err
	}
	return target, out.Close()
}
