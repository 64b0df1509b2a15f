package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Format is QEMU's name of an image format.
type Format string

// The formats that are taken.
const (
	Raw   Format = "raw"
	QCOW2 Format = "qcow2"
	VMDK  Format = "vmdk"
	VDI   Format = "vdi"
	VHDX  Format = "vhdx"
	VHD   Format = "vpc"
)

// maxSize is the largest virtual disk that is taken, in bytes: 16 TiB.
const maxSize = 16 << 40

// maxDepth bounds a chain of backing files, the image itself included.
const maxDepth = 8

// Source is an image that Probe took.
type Source struct {
	Path        string // absolute
	Format      Format
	VirtualSize int64   // bytes; what QEMU makes of it is Disk.Size
	ClusterSize int     // bytes that are compressed together, the chain's largest; 0 if unknown
	Backing     *Source // nil if the image stands alone

	named bool        // the operator names every file, as Files has it
	found os.FileInfo // of the file, when it was probed
}

// Unchanged fails when a file of the image's chain is not what it was when it was
// probed, by inode, size and time of change. QEMU's lock keeps its own programs from
// writing to an image that is open, and nobody else.
func (s *Source) Unchanged() error {
	for ; s != nil; s = s.Backing {
		now, err := os.Stat(s.Path)
		if err != nil {
			return fmt.Errorf("look at the image again: %w", err)
		}
		if !os.SameFile(s.found, now) || now.Size() != s.found.Size() || !now.ModTime().Equal(s.found.ModTime()) {
			return fmt.Errorf("%w: %s was changed while it was read; shut down what writes to it, and convert it again", ErrImage, s.Path)
		}
	}
	return nil
}

// Probe finds out what kind of image a file is and whether it can be read
// without reaching for anything else than the files of its own directory. It
// starts no program and reads headers and allocation tables only. The error
// wraps ErrImage, or is the file system's.
func Probe(path string) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find image: %w", err)
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	defer func() { _ = dir.Close() }()
	// The user names the image itself, which may be a link to anywhere.
	f, err := openRegular(path, os.Stat, os.Open)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	p := &prober{dir: dir}
	source, err := p.probe(f, path, "")
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", path, err)
	}
	return source, nil
}

// prober walks one chain of backing files.
type prober struct {
	dir     *os.Root
	seen    []os.FileInfo
	formats []Format // that are taken; nil for all
}

// probe takes the file over, and follows the names of backing files. The format is
// found out unless it is given.
func (p *prober) probe(f *os.File, path string, format Format) (*Source, error) {
	source, h, err := p.one(f, path, format)
	if err != nil {
		return nil, err
	}
	if h.backing != "" {
		if source.Backing, err = p.backing(h); err != nil {
			return nil, fmt.Errorf("backing file %q: %w", h.backing, err)
		}
		source.ClusterSize = max(source.ClusterSize, source.Backing.ClusterSize)
	}
	return source, nil
}

// one takes the file over and looks at it alone.
func (p *prober) one(f *os.File, path string, format Format) (*Source, *header, error) {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range p.seen {
		if os.SameFile(s, info) {
			return nil, nil, fmt.Errorf("%w: its chain of backing files is a loop", ErrImage)
		}
	}
	if p.seen = append(p.seen, info); len(p.seen) > maxDepth {
		return nil, nil, fmt.Errorf("%w: more than %d files in its chain of backing files", ErrImage, maxDepth)
	}
	if !validPath(path) {
		return nil, nil, fmt.Errorf("%w: its path is not UTF-8", ErrImage)
	}
	if format == "" {
		if format, err = (&image{r: f, size: info.Size()}).detect(); err != nil {
			return nil, nil, err
		}
	}
	if p.formats != nil && !slices.Contains(p.formats, format) {
		return nil, nil, fmt.Errorf("%w: it is in format %s, want qcow2 or raw", ErrImage, format)
	}
	h, err := readHeader(f, info.Size(), format)
	if err != nil {
		return nil, nil, err
	}
	if h.size < 1 || h.size > maxSize {
		return nil, nil, wrongSize(uint64(h.size))
	}
	return &Source{Path: path, Format: h.format, VirtualSize: h.size, ClusterSize: h.cluster, found: info}, h, nil
}

// backing opens the file that an image names. The root lets no link lead out.
func (p *prober) backing(h *header) (*Source, error) {
	name := h.backing
	if strings.HasPrefix(name, "json:") || strings.Contains(strings.SplitN(name, "/", 2)[0], ":") {
		return nil, fmt.Errorf("%w: it is a protocol, not a file", ErrImage)
	}
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%w: it is outside of the image's directory; make one file of both with qemu-img convert", ErrImage)
	}
	f, err := openRegular(name, p.dir.Stat, p.dir.Open)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return p.probe(f, filepath.Join(p.dir.Name(), name), h.backingFormat)
}

// openRegular opens a regular file; anything else, such as a FIFO, could wait
// for ever.
func openRegular(name string, stat func(string) (os.FileInfo, error), open func(string) (*os.File, error)) (*os.File, error) {
	info, err := stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrImage, name)
	}
	return open(name)
}
