package guestfs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"regexp"
	"strings"
	"syscall"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// FS is a mounted file system. It is a rootfs.Volume; its context is the one
// that it was opened with.
type FS struct {
	ctx     context.Context
	session *session
	kind    rootfs.Type
	uuid    string
	label   string
	size    int64
}

var _ rootfs.Volume = (*FS)(nil)

// Open mounts the file system that fills a raw image, read-only. The mount
// options may be empty ("subvol=NAME" finds another root on btrfs). The error
// wraps rootfs.ErrProgram and names the package when libguestfs is missing.
// Close ends the virtual machine behind it; after ctx has ended, nothing works
// but Close.
func Open(ctx context.Context, image, options string) (*FS, error) {
	found, err := os.Stat(image)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, image, false, options)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", image, err)
	}
	f := &FS{ctx: ctx, session: s, size: found.Size()}
	var kind string
	for command, into := range map[string]*string{"vfs-type": &kind, "vfs-uuid": &f.uuid, "vfs-label": &f.label} {
		out, err := s.do(ctx, command, "/dev/sda")
		if err != nil {
			f.Close() //nolint:errcheck // the first error says more
			return nil, err
		}
		*into = strings.TrimSuffix(string(out), "\n")
	}
	f.kind = rootfs.Type(kind)
	return f, nil
}

// Close unmounts it and ends the virtual machine.
func (f *FS) Close() error { return f.session.stop() }

// Type is rootfs.XFS or rootfs.Btrfs, or what else the kernel calls it.
func (f *FS) Type() rootfs.Type { return f.kind }

// UUID is in the 36-character lower-case form.
func (f *FS) UUID() string { return f.uuid }

// Label may be empty.
func (f *FS) Label() string { return f.label }

// Size is that of the image: the file system may be shorter.
func (f *FS) Size() int64 { return f.size }

// Used yields everything.
func (f *FS) Used() iter.Seq2[rootfs.Range, error] {
	return func(yield func(rootfs.Range, error) bool) { yield(rootfs.Range{Length: f.size}, nil) }
}

// ask sends a request about a path.
func (f *FS) ask(op, name, command string, arguments ...string) ([]byte, error) {
	if name != "." && (name == "" || name[0] == '/' || path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || strings.Contains(name, "\x00")) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	out, err := f.session.do(f.ctx, command, append([]string{guestPath(name)}, arguments...)...)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: errnoOf(err)}
	}
	return out, nil
}

// guestPath is a path as guestfish wants it.
func guestPath(name string) string {
	return path.Join("/", name)
}

// errnoOf finds the reason in guestfish's words.
func errnoOf(err error) error {
	for _, errno := range []syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP, syscall.EINVAL, syscall.EISDIR} {
		if words := err.Error(); strings.Contains(strings.ToLower(words), strings.ToLower(errno.Error())) {
			return fmt.Errorf("%w (%w)", errno, err)
		}
	}
	return err
}

// Lstat describes a file or symbolic link.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.info(name, "lstatns") }

// Stat describes a file, following symbolic links.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.info(name, "statns") }

func (f *FS) info(name, command string) (fs.FileInfo, error) {
	out, err := f.ask("stat", name, command)
	if err != nil {
		return nil, err
	}
	stat, err := parseStat(string(out))
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return &rootfs.FileInfo{FileName: path.Base(name), Stat: *stat}, nil
}

// ReadLink returns the target of a symbolic link.
func (f *FS) ReadLink(name string) (string, error) {
	out, err := f.ask("readlink", name, "readlink")
	return strings.TrimSuffix(string(out), "\n"), err
}

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	file, err := os.CreateTemp(f.session.dir, "list-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // Close removes it as well
	defer file.Close()
	if _, err := f.ask("readdir", name, "ls0", file.Name()); err != nil {
		return nil, err
	}
	names, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, err
	}
	return f.entries(name, names)
}

// Open opens a file, whose data is copied for that, or a directory.
func (f *FS) Open(name string) (fs.File, error) {
	found, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return &file{fs: f, name: name, info: found}, nil
	}
	data, err := os.CreateTemp(f.session.dir, "file-")
	if err != nil {
		return nil, err
	}
	if _, err := f.ask("open", name, "download", data.Name()); err != nil {
		data.Close()
		return nil, err
	}
	return &file{fs: f, name: name, info: found, data: data}, nil
}

// attributeName is a line of what lgetxattrs lists.
var attributeName = regexp.MustCompile(`(?m)^  attrname: (.*)$`)

// Xattrs returns the extended attributes of a file or symbolic link.
func (f *FS) Xattrs(name string) (map[string][]byte, error) {
	out, err := f.ask("getxattr", name, "lgetxattrs")
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	for _, found := range attributeName.FindAllSubmatch(out, -1) {
		attribute := string(bytes.TrimSpace(found[1]))
		if values[attribute], err = f.ask("getxattr", name, "lgetxattr", attribute); err != nil {
			return nil, err
		}
	}
	return values, nil
}
