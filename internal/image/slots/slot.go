package slots

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// Slot is what a slot holds. Its contents are the host's and count only as the bundle's
// signed manifest has them.
type Slot struct {
	Name   string
	Files  map[string]int64 // sizes by name
	p      *Partition
	layout *ext4.Layout
}

// Empty reports whether nothing is in the slot.
func (s *Slot) Empty() bool { return len(s.Files) == 0 }

// Slot reads the names and sizes in a slot. They count only if the slot's inodes and
// directories are, byte for byte, what Write makes of them. The error wraps ErrSlot or
// is the device's.
func (p *Partition) Slot(name string) (*Slot, error) {
	if name != A && name != B {
		return nil, fmt.Errorf("%w: %q, want %s or %s", ErrSlot, name, A, B)
	}
	head, err := p.head()
	if err != nil {
		return nil, err
	}
	s := &Slot{Name: name, Files: map[string]int64{}, p: p}
	files, err := p.reader(head)
	if err == nil {
		err = s.list(files, "")
	}
	if err == nil {
		s.layout, err = p.plan(name, s.Files).layOut()
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrSlot, name, err)
	}
	for _, o := range own(p.empty, name) {
		if !bytes.Equal(o.of(head), o.of(s.layout.Head)) {
			return nil, fmt.Errorf("%w %s: it differs from what an update writes", ErrSlot, name)
		}
	}
	return s, nil
}

// list lists a directory of the slot and those in it.
func (s *Slot) list(files *ext4.FS, dir string) error {
	entries, err := files.ReadDir(path.Join(s.Name, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		info, err := files.Lstat(path.Join(s.Name, name))
		switch {
		case err != nil:
			return err
		case info.IsDir() && dir == "":
			err = s.list(files, name)
		case !info.Mode().IsRegular():
			err = fmt.Errorf("%.100q is not a regular file", name)
		default:
			s.Files[name] = info.Size()
		}
		if err != nil {
			return err
		}
		if len(s.Files) > maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
	}
	return nil
}

// Open returns the contents of a file. The error wraps fs.ErrNotExist.
func (s *Slot) Open(name string) (*io.SectionReader, error) {
	n, ok := s.Files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path.Join(s.Name, name), Err: fs.ErrNotExist}
	}
	return io.NewSectionReader(s.p.d, s.layout.Places[path.Join(s.Name, name)].Contents, n), nil
}

// ReadFile returns a file of at most limit bytes. The error wraps fs.ErrNotExist or
// ErrSlot, or is the device's.
func (s *Slot) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	if f.Size() > limit {
		return nil, fmt.Errorf("%w %s: %s has %d bytes, want %d at most", ErrSlot, s.Name, name, f.Size(), limit)
	}
	return io.ReadAll(f)
}

// ReadFile is ReadFile of a slot as it is now.
func (p *Partition) ReadFile(slot, name string, limit int64) ([]byte, error) {
	s, err := p.Slot(slot)
	if err != nil {
		return nil, err
	}
	return s.ReadFile(name, limit)
}

// inUse refuses a slot with a bundle that may be needed: the active one, and what a
// trial returns to.
func (p *Partition) inUse(slot string) error {
	if slot != p.state.Active && !p.state.Trial {
		return nil
	}
	s, err := p.Slot(slot)
	switch {
	case errors.Is(err, ErrSlot):
		return nil
	case err != nil || s.Empty():
		return err
	case slot == p.state.Active:
		return fmt.Errorf("%w: %s is the active one", ErrInUse, slot)
	}
	return fmt.Errorf("%w: slot %s is on trial, and %s is what to return to", ErrInUse, p.state.Active, slot)
}
