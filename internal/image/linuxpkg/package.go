package linuxpkg

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Package says what a package is.
type Package struct {
	Name         string
	Version      string // Debian's, or [EPOCH:]VERSION-RELEASE of an RPM
	Architecture string // "amd64" or "x86_64", for example
	SHA256       string // of its file, 64 hexadecimal digits
}

// Set is the files of packages that are not installed.
type Set struct {
	// FS holds them as an installed system does, as they are in the packages (modules
	// stay compressed): lib/modules/RELEASE/..., also where a package says
	// usr/lib/modules, boot/vmlinuz-RELEASE and boot/config-RELEASE. Only regular files
	// and directories are in it.
	FS       fs.FS
	Packages []Package
	Releases []string // of the kernels that they have files of, sorted

	spool *spool
}

// Source is the file of a package.
type Source struct {
	Path   string
	SHA256 string // that it must have, 64 hexadecimal digits in lower case; "" for any
}

// Open reads packages; what kind each is, its first bytes tell. Their files are unpacked
// into a temporary file in dir ("" for the system's), which Close removes. The error wraps
// ErrPackage for a package that is malformed, has another hash, holds nothing of a kernel,
// or has a file that one before it has.
func Open(dir string, sources ...Source) (*Set, error) {
	files, err := newSpool(dir)
	if err != nil {
		return nil, err
	}
	s := &Set{FS: files, spool: files}
	kept := &sink{spool: files}
	for _, source := range sources {
		p, err := read(source, kept)
		if err != nil {
			return nil, closeAfter(s, fmt.Errorf("read package %s: %w", source.Path, err))
		}
		s.Packages = append(s.Packages, *p)
	}
	if err := files.w.Flush(); err != nil {
		return nil, closeAfter(s, err)
	}
	s.Releases = slices.Sorted(slices.Values(kept.releases))
	return s, nil
}

func closeAfter(s *Set, err error) error {
	if closing := s.Close(); closing != nil {
		return fmt.Errorf("%w (and %w)", err, closing)
	}
	return err
}

// Close removes the files.
func (s *Set) Close() error { return s.spool.close() }

// read gives the files of one package to the sink.
func read(source Source, kept *sink) (*Package, error) {
	f, err := os.Open(source.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	before := kept.files
	r := bufio.NewReaderSize(io.TeeReader(f, hash), 64<<10)
	p, err := unpack(r, kept)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	p.SHA256 = hex.EncodeToString(hash.Sum(nil))
	switch {
	case source.SHA256 != "" && p.SHA256 != source.SHA256:
		return nil, fmt.Errorf("%w: its SHA-256 is %s, not %s as it was given: it is damaged, or another version", ErrPackage, p.SHA256, source.SHA256)
	case kept.files == before:
		return nil, fmt.Errorf("%w: %s has neither a kernel nor kernel modules; give the packages that it depends on", ErrPackage, p.Name)
	}
	return p, nil
}

// unpack is what both kinds of package have in common.
func unpack(r *bufio.Reader, s *sink) (p *Package, err error) {
	start, err := r.Peek(len(arMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it is shorter than %d bytes", ErrPackage, len(arMagic))
	}
	switch {
	case string(start) == arMagic:
		p, err = readDeb(r, s)
	case bytes.HasPrefix(start, []byte(rpmMagic)):
		p, err = readRPM(r, s)
	default:
		return nil, fmt.Errorf("%w: it is neither a .deb nor an .rpm", ErrPackage)
	}
	if err != nil {
		return nil, err
	}
	return p, p.check()
}

// check wants names as both kinds of distribution have them.
func (p *Package) check() error {
	for _, text := range []string{p.Name, p.Version, p.Architecture} {
		if text == "" || len(text) > 255 || strings.ContainsFunc(text, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("+-.~:_^", c)
		}) {
			return fmt.Errorf("%w: name %.100q, version %.100q, architecture %.100q", ErrPackage, p.Name, p.Version, p.Architecture)
		}
	}
	return nil
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
