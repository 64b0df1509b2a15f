package uki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Path is the name that a section of a file has in FS.
func Path(file, section string) string { return path.Join(file, section) }

// FS is a file system in which the sections of images are files, as if an image were
// a directory: "EFI/Linux/debian.efi/.linux".
func FS(fsys fs.FS) fs.FS { return sections{fsys} }

// split takes a name of FS apart.
func split(name string) (file, section string, ok bool) {
	file, section = path.Split(name)
	file = strings.TrimSuffix(file, "/")
	switch section {
	case Linux, Initrd, Microcode:
		return file, section, strings.HasSuffix(strings.ToLower(file), ".efi")
	}
	return "", "", false
}

type sections struct{ fsys fs.FS }

func (s sections) Open(name string) (fs.File, error) {
	file, section, ok := split(name)
	if !ok {
		return s.fsys.Open(name)
	}
	if info, err := fs.Stat(s.fsys, file); err != nil || !info.Mode().IsRegular() {
		return s.fsys.Open(name) // says what is wrong
	}
	image, err := Open(s.fsys, file)
	if err != nil {
		return nil, err
	}
	if !image.Has(section) {
		return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}, image.Close())
	}
	return &sectionFile{image: image, name: section, SectionReader: image.Section(section)}, nil
}

// Stat implements fs.StatFS.
func (s sections) Stat(name string) (fs.FileInfo, error) {
	if _, _, ok := split(name); !ok {
		return fs.Stat(s.fsys, name)
	}
	f, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// sectionFile is an open section.
type sectionFile struct {
	*io.SectionReader
	image *Image
	name  string
}

func (f *sectionFile) Close() error { return f.image.Close() }

func (f *sectionFile) Stat() (fs.FileInfo, error) {
	info, err := f.image.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("section %q: %w", f.name, err)
	}
	return &sectionInfo{info, f.name, f.Size()}, nil
}

// sectionInfo is what the image's file says, but for name and size.
type sectionInfo struct {
	fs.FileInfo
	name string
	size int64
}

func (i *sectionInfo) Name() string { return i.name }
func (i *sectionInfo) Size() int64  { return i.size }
