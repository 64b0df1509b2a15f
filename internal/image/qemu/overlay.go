package qemu

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Files are the files of a guest's disk, as the operator names them. Many guests of
// one golden image are each an overlay on it. The name in an overlay's header is
// followed by nobody: whoever can write the overlay chose it.
type Files struct {
	Image   string // raw or qcow2
	Backing string // the golden image, raw or qcow2; "" for an image that stands alone
}

// Probe finds out what the files are, as the function of that name does. It refuses an
// overlay without the name of its backing file, and a backing file that is an
// overlay itself.
func (f Files) Probe() (*Source, error) {
	p := &prober{formats: []Format{Raw, QCOW2}}
	overlay, h, err := p.named(f.Image)
	if err != nil {
		return nil, err
	}
	switch {
	case h.backing == "" && f.Backing == "":
		return overlay, nil
	case h.backing == "":
		return nil, fmt.Errorf("image %s: %w: it has no backing file; leave out --backing", f.Image, ErrImage)
	case f.Backing == "":
		return nil, fmt.Errorf("image %s: %w: it is an overlay. The backing file that it names, %.200q, is not opened: "+
			"name the right one yourself with --backing FILE, or make one file of both with \"qemu-img convert\"", f.Image, ErrImage, h.backing)
	}
	base, under, err := p.named(f.Backing)
	if err != nil {
		return nil, fmt.Errorf("--backing: %w", err)
	}
	if err := fits(overlay, base, h, under); err != nil {
		return nil, fmt.Errorf("--backing: image %s: %w", f.Backing, err)
	}
	overlay.Backing = base
	overlay.ClusterSize = max(overlay.ClusterSize, base.ClusterSize)
	return overlay, nil
}

// named looks at a file that the operator names, which may be a link to anywhere.
func (p *prober) named(path string) (*Source, *header, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("find image: %w", err)
	}
	file, err := openRegular(absolute, os.Stat, os.Open)
	if err != nil {
		return nil, nil, fmt.Errorf("open image: %w", err)
	}
	s, h, err := p.one(file, absolute, "")
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", path, err)
	}
	s.named = true
	return s, h, nil
}

// fits tells whether the overlay can lie on the golden image. One that is larger reads
// as zeros behind it, which is how a guest gets more room.
func fits(overlay, base *Source, h, under *header) error {
	switch {
	case under.backing != "":
		return fmt.Errorf("%w: it is an overlay itself; make one file of it and its backing file with \"qemu-img convert\"", ErrImage)
	case h.backingFormat != "" && h.backingFormat != base.Format:
		return fmt.Errorf("%w: it is in format %s, and the overlay was made on an image in format %.16q", ErrImage, base.Format, h.backingFormat)
	case overlay.VirtualSize < base.VirtualSize:
		return fmt.Errorf("%w: its disk of %s does not fit into the overlay's %s; its end would be missing. Make a new overlay, of the same size or larger",
			ErrImage, size.Text(base.VirtualSize), size.Text(overlay.VirtualSize))
	}
	return nil
}
