package rekernel

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// Release is a release as its launch bundle has it.
type Release struct {
	Dir      string // of the extracted bundle, whose signature was checked
	Manifest *bundle.Manifest
	Segment  *initrd.Segment  // what the initrd holds, and it holds nothing else
	Config   *bootconf.Config // config.json of the segment
}

// Open reads a bundle that was extracted to dir. The error wraps ErrRelease where its
// initrd is not the agent's archive alone.
func Open(dir string, m *bundle.Manifest) (*Release, error) {
	f, err := os.Open(filepath.Join(dir, bundle.NameInitrd))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	segment, _, err := initrd.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%w: release %s: %w", ErrRelease, m.Release, err)
	}
	return newRelease(dir, m, segment, bootconf.InitrdMinimal)
}

// newRelease wants the segment to be of the bundle's image, and of this kind of initrd.
func newRelease(dir string, m *bundle.Manifest, segment *initrd.Segment, kind string) (*Release, error) {
	config, err := bootconf.Parse(segment.Config)
	if err != nil {
		return nil, fmt.Errorf("%w: release %s: %s: %w", ErrRelease, m.Release, bootconf.PathConfig, err)
	}
	switch {
	case config.ImageID != m.Image:
		return nil, fmt.Errorf("%w: release %s of image %s has the configuration of image %s", ErrRelease, m.Release, m.Image, config.ImageID)
	case config.Initrd != kind:
		return nil, fmt.Errorf("%w: release %s was converted with --initrd %s", ErrRelease, m.Release, config.Initrd)
	}
	return &Release{Dir: dir, Manifest: m, Segment: segment, Config: config}, nil
}

// file is the path of one of the bundle's files.
func (r *Release) file(name string) string { return filepath.Join(r.Dir, name) }
