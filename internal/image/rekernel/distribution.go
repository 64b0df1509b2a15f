package rekernel

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// OpenDistribution reads a bundle whose initrd is a distribution's with the agent's
// archive behind it. Nothing of it can be recomputed. The error wraps ErrRelease.
func OpenDistribution(dir string, m *bundle.Manifest) (*Release, error) {
	f, err := os.Open(filepath.Join(dir, bundle.NameInitrd))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	segment, err := initrd.ReadAppended(f)
	if err != nil {
		return nil, fmt.Errorf("%w: release %s: %w", ErrRelease, m.Release, err)
	}
	return newRelease(dir, m, segment, bootconf.InitrdDistribution)
}

// WriteAppended is Write for a release that OpenDistribution opened. original is the
// initrd that the distribution makes for the kernel, which must not have an agent yet.
func (r *Release) WriteAppended(dir string, k *Kernel, agent []byte, original string) (*Files, error) {
	f, err := os.Open(original)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := initrd.Inspect(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", original, err)
	}
	if info.Agent || !info.Init {
		return nil, fmt.Errorf("%w: %s is not an initrd of a distribution: it has no /init, or an agent already", ErrRelease, original)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return r.write(dir, k, func(w io.Writer) error {
		_, err := initrd.Append(w, f, r.segment(k, agent), k.Compression)
		return err
	})
}
