package rekernel

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// Kernel is a kernel out of its packages, with the modules that an image needs.
type Kernel struct {
	Release     string            // as uname -r prints it
	Compression decompress.Format // that it reads of an initrd
	Modules     []kmod.Module     // in load order

	fsys fs.FS
	file string
}

// OfPackages finds the kernel and, by the list that conversions use, the modules for an
// image of this configuration. The error wraps ErrKernel or linuxpkg.ErrKernel, or is
// that of a malformed file.
func OfPackages(set *linuxpkg.Set, config *bootconf.Config) (*Kernel, error) {
	release, file, err := set.Kernel()
	if err != nil {
		return nil, err
	}
	for _, p := range set.Packages {
		if p.Architecture != "amd64" && p.Architecture != "x86_64" {
			return nil, fmt.Errorf("%w: package %s is for %s", ErrKernel, p.Name, p.Architecture)
		}
	}
	found, err := osinfo.OfPackages(set.FS, file)
	if err != nil {
		return nil, err
	}
	if found.Release != release {
		return nil, fmt.Errorf("%w: %s calls itself %q", ErrKernel, file, found.Release)
	}
	if !found.Capable() {
		return nil, fmt.Errorf("%w: %s: %s", ErrKernel, release, strings.Join(found.Lacks, ", "))
	}
	tree, err := kmod.OpenPackaged(set.FS, release)
	if err != nil {
		return nil, err
	}
	closure, err := tree.Closure(kmod.ForInitrd(config.Initrd == bootconf.InitrdMinimal, config.Root.Filesystem))
	if err != nil {
		return nil, err
	}
	return &Kernel{Release: release, Compression: found.Compression, Modules: closure.Modules, fsys: set.FS, file: file}, nil
}

func (k *Kernel) open() (fs.File, error) { return k.fsys.Open(k.file) }
