package kmod

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Limits on a package. Ubuntu's linux-modules-extra has some 5,000 files and,
// compressed one by one, 100 MB.
const (
	maxPackageFiles = 20000
	maxPackageSize  = 2 << 30 // of all files of modules, in bytes
	maxPackageFile  = 64 << 20
)

// Package is the kernel modules of a package that is not installed.
type Package struct {
	// FS holds its files as lib/modules/RELEASE/..., as they are in the package
	// (compressed), also where the package says usr/lib/modules. Only regular
	// files and directories are in it.
	FS fs.FS
	// Releases are the kernels that it has modules for, sorted.
	Releases []string

	root *os.Root
	dir  string
}

// OpenPackage reads a Debian (.deb) or RPM package; which it is, its first bytes
// tell. The modules are unpacked into a temporary directory below dir ("" for
// the system's), which Close removes. The error wraps ErrPackage for a package
// that is malformed or has no modules.
func OpenPackage(file, dir string) (*Package, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tmp, err := os.MkdirTemp(dir, "snpguard-modules-")
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		os.RemoveAll(tmp) //nolint:errcheck // an empty directory of our own
		return nil, err
	}
	p := &Package{FS: root.FS(), root: root, dir: tmp}
	if err := p.unpack(bufio.NewReader(f)); err != nil {
		return nil, closeAfter(p, fmt.Errorf("read package %s: %w", file, err))
	}
	return p, nil
}

func closeAfter(p *Package, err error) error {
	if closing := p.Close(); closing != nil {
		return fmt.Errorf("%w (and %w)", err, closing)
	}
	return err
}

// Close removes the files.
func (p *Package) Close() error {
	if err := p.root.Close(); err != nil {
		return err
	}
	return os.RemoveAll(p.dir)
}

// unpack is what both kinds of package have in common.
func (p *Package) unpack(r *bufio.Reader) error {
	start, err := r.Peek(len(arMagic))
	if err != nil {
		return fmt.Errorf("%w: it is shorter than %d bytes", ErrPackage, len(arMagic))
	}
	sink := &sink{root: p.root}
	switch {
	case string(start) == arMagic:
		err = readDeb(r, sink)
	case bytes.HasPrefix(start, []byte(rpmMagic)):
		err = readRPM(r, sink)
	default:
		return fmt.Errorf("%w: it is neither a .deb nor an .rpm", ErrPackage)
	}
	if err != nil {
		return err
	}
	if len(sink.releases) == 0 {
		return fmt.Errorf("%w: it has no kernel modules", ErrPackage)
	}
	p.Releases = slices.Sorted(slices.Values(sink.releases))
	return nil
}

// sink takes the files of a package and keeps those below lib/modules.
type sink struct {
	root     *os.Root
	releases []string
	files    int
	size     int64
}

// put keeps a regular file if it belongs to a kernel's modules.
func (s *sink) put(name string, content io.Reader) error {
	name, release := modulePath(name)
	if release == "" {
		return nil
	}
	s.files++
	if s.files > maxPackageFiles {
		return fmt.Errorf("%w: more than %d files", ErrPackage, maxPackageFiles)
	}
	if err := s.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrPackage, err)
	}
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPackage, err)
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(blame{content}, maxPackageFile+1))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	s.size += n
	if n > maxPackageFile || s.size > maxPackageSize {
		return fmt.Errorf("%w: %s is too large", ErrPackage, name)
	}
	if !slices.Contains(s.releases, release) {
		s.releases = append(s.releases, release)
	}
	return f.Close()
}

// modulePath returns a file's name below lib/modules and the release it is for;
// the release is "" for all other files and for names that lead elsewhere.
func modulePath(name string) (clean, release string) {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")
	name = strings.TrimPrefix(name, "usr/")
	below, ok := strings.CutPrefix(name, Dir+"/")
	if !ok || !fs.ValidPath(name) || strings.ContainsRune(name, '\\') {
		return "", ""
	}
	release, _, ok = strings.Cut(below, "/")
	if !ok || !validRelease(release) {
		return "", ""
	}
	return name, release
}

// blame marks errors of reading as the package's fault; those of writing are not.
type blame struct{ r io.Reader }

func (b blame) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrPackage, err)
	}
	return n, err
}
