package embed

import (
	"archive/tar"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// Bounds of what a slot may hold, in bytes and files.
const (
	maxManifest  = 1 << 20
	maxFile      = 4 << 30
	maxSlotFiles = 4096 + 2
)

// Slot is one of the two places for a bundle.
type Slot struct {
	Name   string
	Active bool
	fs     *ext4.FS
	files  map[string]int64 // sizes by name, relative to the slot
}

// Empty reports whether nothing is in the slot.
func (s *Slot) Empty() bool { return len(s.files) == 0 }

// Signed reports whether the slot's bundle has a signature. One without is of a
// conversion without encryption.
func (s *Slot) Signed() bool { _, ok := s.files[bundle.NameSignature]; return ok }

// readSlot lists a slot: regular files, in it and in directories of one level,
// and nothing else.
func readSlot(fsys *ext4.FS, name string) (*Slot, error) {
	s := &Slot{Name: name, fs: fsys, files: map[string]int64{}}
	info, err := fsys.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, damaged(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: /%s is %s, want a directory", ErrArtifacts, name, kind(info.Mode()))
	}
	return s, s.list("", 0)
}

func (s *Slot) list(dir string, depth int) error {
	entries, err := s.fs.ReadDir(path.Join(s.Name, dir))
	if err != nil {
		return damaged(err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		info, err := s.fs.Lstat(path.Join(s.Name, name))
		switch {
		case err != nil:
			return damaged(err)
		case info.IsDir() && depth == 0:
			err = s.list(name, depth+1)
		case !info.Mode().IsRegular():
			err = fmt.Errorf("%w: /%s/%.100q is %s, want a regular file", ErrArtifacts, s.Name, name, kind(info.Mode()))
		case info.Size() > maxFile:
			err = fmt.Errorf("%w: /%s/%.100q has %d bytes, at most %d are taken", ErrArtifacts, s.Name, name, info.Size(), int64(maxFile))
		default:
			s.files[name] = info.Size()
		}
		if err != nil {
			return err
		}
		if len(s.files) > maxSlotFiles {
			return fmt.Errorf("%w: /%s has more than %d files", ErrArtifacts, s.Name, maxSlotFiles)
		}
	}
	return nil
}

// kind names what a file is, for people.
func kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "a pipe or socket"
}

// Manifest returns the slot's manifest when it is trusted and the slot has the files
// that it names, of its sizes, and no others. The error wraps bundle.ErrSignature,
// bundle.ErrBundle or ErrArtifacts.
func (s *Slot) Manifest(t bundle.Trust) (*bundle.Manifest, error) {
	encoded, err := s.small(bundle.NameManifest, maxManifest)
	if err != nil {
		return nil, err
	}
	var signature []byte
	switch {
	case s.Signed():
		if signature, err = s.small(bundle.NameSignature, ed25519.SignatureSize); err != nil {
			return nil, err
		}
	case !t.Unsigned:
		return nil, fmt.Errorf("slot %s: %w", s.Name, bundle.ErrUnsigned)
	}
	m, err := t.ParseManifest(encoded, signature)
	if err != nil {
		return nil, err
	}
	return m, s.match(m)
}

// small reads a file into memory.
func (s *Slot) small(name string, limit int64) ([]byte, error) {
	size, ok := s.files[name]
	if !ok {
		return nil, fmt.Errorf("%w: /%s/%s is missing", ErrArtifacts, s.Name, name)
	}
	if size > limit {
		return nil, fmt.Errorf("%w: /%s/%s has %d bytes, at most %d are taken", ErrArtifacts, s.Name, name, size, limit)
	}
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, damaged(err)
}

// open opens a file of the slot. That it is a regular one and not behind a link
// was seen when the slot was listed.
func (s *Slot) open(name string) (fs.File, error) {
	f, err := s.fs.Open(path.Join(s.Name, name))
	return f, damaged(err)
}

// WriteTar writes the slot as a bundle of format tar: what its signed manifest
// says and nothing else. The contents are checked by whoever reads the bundle, as
// with any bundle; sizes and names are checked here, before a byte is read.
func (s *Slot) WriteTar(w io.Writer, t bundle.Trust) error {
	m, err := s.Manifest(t)
	if err != nil {
		return err
	}
	modified := m.CreatedAt.Truncate(time.Second)
	tw := tar.NewWriter(w)
	names := []string{bundle.NameManifest}
	if !m.Unsigned {
		names = append(names, bundle.NameSignature)
	}
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	for _, name := range names {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: s.files[name], Mode: 0o644, ModTime: modified, Format: tar.FormatUSTAR}
		if len(name) > 100 {
			header.Format = tar.FormatPAX
		}
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := s.copyTo(tw, name); err != nil {
			return err
		}
	}
	return tw.Close()
}

// match wants the files of the manifest, of its sizes, and no others.
func (s *Slot) match(m *bundle.Manifest) error {
	known := map[string]bool{bundle.NameManifest: true, bundle.NameSignature: !m.Unsigned}
	for _, f := range m.Files {
		known[f.Name] = true
		size, ok := s.files[f.Name]
		if !ok {
			return fmt.Errorf("%w: /%s/%s is missing", ErrArtifacts, s.Name, f.Name)
		}
		if size != f.Size {
			return fmt.Errorf("%w: /%s/%s has %d bytes, its manifest says %d", ErrArtifacts, s.Name, f.Name, size, f.Size)
		}
	}
	for name := range s.files {
		if !known[name] {
			return fmt.Errorf("%w: /%s/%.100q is not in the manifest", ErrArtifacts, s.Name, name)
		}
	}
	return nil
}

// copyFrom copies all files of the slot as they are on a disk.
func (s *Slot) copyFrom(d device, create func(bundle.ManifestEntry) (io.WriteCloser, error)) error {
	present, err := read(d)
	if err != nil {
		return err
	}
	now, err := present.Slot(s.Name)
	if err != nil {
		return err
	}
	if !maps.Equal(now.files, s.files) {
		return fmt.Errorf("%w: slot %s has changed", ErrArtifacts, s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(now.files)) {
		w, err := create(bundle.ManifestEntry{Name: name, Size: now.files[name]})
		if err != nil {
			return err
		}
		if err := errors.Join(now.copyTo(w, name), w.Close()); err != nil {
			return err
		}
	}
	return nil
}

// copyTo copies a file.
func (s *Slot) copyTo(w io.Writer, name string) error {
	f, err := s.open(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(f, s.files[name]))
	if err == nil && n != s.files[name] {
		err = fmt.Errorf("%w: it ends after %d of %d bytes", ErrArtifacts, n, s.files[name])
	}
	if err != nil {
		return fmt.Errorf("copy /%s/%s: %w", s.Name, strings.ToValidUTF8(name, "?"), damaged(err))
	}
	return nil
}
