package uki

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Image is an open unified kernel image, or an addon of one.
type Image struct {
	file     fs.File
	data     io.ReaderAt
	sections map[string]section
	// Profiles is how many sets of sections it has to choose from beside the first,
	// which is what boots by itself.
	Profiles int
}

// Open opens a file of an image. The error wraps ErrNot or ErrMalformed, or is the
// file system's.
func Open(fsys fs.FS, name string) (*Image, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	i, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return i, nil
}

func read(f fs.File) (*Image, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, ok := f.(io.ReaderAt)
	if !info.Mode().IsRegular() || !ok {
		return nil, ErrNot
	}
	all, err := parsePE(io.NewSectionReader(data, 0, info.Size()))
	if err != nil {
		return nil, err
	}
	i := &Image{file: f, data: data, sections: make(map[string]section)}
	return i, i.take(all)
}

// take keeps the sections that count: those before the first profile, and those of
// the first profile in place of them.
func (i *Image) take(all []section) error {
	profiles := 0
	taken := make(map[string]bool) // of the part that is read
	for _, s := range all {
		switch s.name {
		case profile:
			profiles++
			taken = make(map[string]bool)
			continue
		case Linux, Initrd, Microcode, Cmdline, Release, Uname:
		default:
			continue
		}
		switch {
		case s.size > s.stored:
			return fmt.Errorf("%w: the file holds %d bytes of section %q, which has %d", ErrMalformed, s.stored, s.name, s.size)
		case taken[s.name]:
			return fmt.Errorf("%w: section %q comes twice", ErrMalformed, s.name)
		}
		taken[s.name] = true
		if profiles <= 1 {
			i.sections[s.name] = s
		}
	}
	i.Profiles = max(0, profiles-1)
	return nil
}

// Close closes the file.
func (i *Image) Close() error { return i.file.Close() }

// Has says whether there is a section that is not empty.
func (i *Image) Has(name string) bool { return i.sections[name].size > 0 }

// Section reads a section; one that is not there is empty.
func (i *Image) Section(name string) *io.SectionReader {
	s := i.sections[name]
	return io.NewSectionReader(i.data, s.offset, s.size)
}

// Text returns a section of text, without what pads it.
func (i *Image) Text(name string) (string, error) {
	if size := i.sections[name].size; size > maxText {
		return "", fmt.Errorf("%w: section %q has %d bytes", ErrMalformed, name, size)
	}
	text, err := io.ReadAll(i.Section(name))
	if err != nil {
		return "", fmt.Errorf("read section %q: %w", name, err)
	}
	plain := strings.TrimRight(string(text), "\x00")
	if strings.IndexByte(plain, 0) >= 0 {
		return "", fmt.Errorf("%w: section %q is not text", ErrMalformed, name)
	}
	return plain, nil
}

// CommandLine returns the kernel's command line as the stub makes it: on one line.
func (i *Image) CommandLine() (string, error) {
	text, err := i.Text(Cmdline)
	line := strings.Map(func(c rune) rune {
		if c < ' ' {
			return ' '
		}
		return c
	}, text)
	return strings.TrimSpace(line), err
}
