package embed

import (
	"archive/tar"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// maxManifest bounds manifests, in bytes.
const maxManifest = 1 << 20

// Slot is one of the two places for a bundle.
type Slot struct {
	Name   string
	Active bool
	slot   *slots.Slot
	files  map[string]int64 // sizes by name, relative to the slot
	err    error            // why it cannot be read; then it has no files
}

// Empty reports whether nothing is in the slot.
func (s *Slot) Empty() bool { return s.err == nil && len(s.files) == 0 }

// Damaged returns what is wrong with the slot: it wraps ErrArtifacts, or is nil.
func (s *Slot) Damaged() error { return s.err }

// Signed reports whether the slot's bundle has a signature. One without is of a
// conversion without encryption.
func (s *Slot) Signed() bool { _, ok := s.files[bundle.NameSignature]; return ok }

// readSlot lists a slot. One that is damaged does not keep the other from being read.
func readSlot(p *slots.Partition, name string) (*Slot, error) {
	s := &Slot{Name: name, Active: p.State().Active == name}
	var err error
	switch s.slot, err = p.Slot(name); {
	case errors.Is(err, slots.ErrSlot):
		s.err = damaged(err)
	case err != nil:
		return nil, err
	default:
		s.files = s.slot.Files
	}
	return s, nil
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
	if s.err != nil {
		return nil, s.err
	}
	data, err := s.slot.ReadFile(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: /%s/%s is missing", ErrArtifacts, s.Name, name)
	}
	return data, damaged(err)
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

// copyTo copies a file.
func (s *Slot) copyTo(w io.Writer, name string) error {
	f, err := s.slot.Open(name)
	if err == nil {
		_, err = io.Copy(w, f)
	}
	if err != nil {
		return fmt.Errorf("copy /%s/%s: %w", s.Name, strings.ToValidUTF8(name, "?"), err)
	}
	return nil
}
