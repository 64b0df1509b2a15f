package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// openedBundle is a bundle that was checked and extracted.
type openedBundle struct {
	manifest *bundle.Manifest
	guest    *launch.Guest
	scratch  string // directory of this run alone
}

// remove takes away what the run made for itself.
func (b *openedBundle) remove() {
	os.RemoveAll(b.scratch) //nolint:errcheck // nothing is left to do about it
}

// open checks the bundle and extracts it: to --extract, or to a directory of this
// run, which only its owner can read.
func (o *launchOptions) open(cmd *cobra.Command) (*openedBundle, error) {
	trust, err := o.trust()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "snpguard-")
	if err != nil {
		return nil, err
	}
	b := &openedBundle{scratch: scratch}
	if err := o.extractTo(cmd, b, trust); err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

func (o *launchOptions) extractTo(cmd *cobra.Command, b *openedBundle, trust bundle.Trust) error {
	dir := filepath.Join(b.scratch, "bundle")
	if o.extract != "" {
		var err error
		if dir, err = o.extractDir(); err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // renamed by then, unless something failed
	} else if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var err error
	if o.bundle == "" {
		b.manifest, err = o.extractEmbedded(cmd, dir, trust)
	} else {
		b.manifest, err = o.extractFile(dir, trust)
	}
	if err != nil {
		return notGenuine(cmd, cmp.Or(o.bundle, o.disk.Image), err)
	}
	if b.manifest.Unsigned {
		note(cmd, "snpguard: %s is not signed by a service, and the guest has no ID block", cmp.Or(o.bundle, o.disk.Image))
	}
	if b.guest, err = launch.Load(dir, b.manifest, o.variant); errors.Is(err, launch.ErrVariant) {
		return usageErrorf("--variant: %w", err)
	} else if err != nil {
		return err
	}
	if err := o.checkWorld(b); err != nil {
		return err
	}
	if err := o.checkInstance(b.manifest); err != nil {
		return err
	}
	if err := o.checkPrinted(b); err != nil {
		return err
	}
	return o.settle(cmd, b, dir)
}

// checkWorld refuses a guest that could not attest where it is launched, before anything
// is left behind for it.
func (o *launchOptions) checkWorld(b *openedBundle) error {
	switch {
	case b.manifest.Unsigned || o.simulate == b.guest.Simulated:
		return nil
	case o.simulate:
		return launch.ErrNotSimulated
	}
	return fmt.Errorf("image %s was registered with a service that trusts a SIMULATED AMD; launch it with --simulate", b.manifest.Image)
}

// checkPrinted refuses to print a launch that no host would get anywhere with, whatever
// this one lacks.
func (o *launchOptions) checkPrinted(b *openedBundle) error {
	if !o.prints() {
		return nil
	}
	lacks, err := b.guest.MissingFirmware()
	if err == nil && lacks != "" {
		err = fmt.Errorf("this bundle cannot be launched: %s", lacks)
	}
	return err
}

// extractFile extracts the bundle of --bundle.
func (o *launchOptions) extractFile(dir string, trust bundle.Trust) (*bundle.Manifest, error) {
	f, err := openInput(o.bundle)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return trust.Extract(f, dir)
}

// extractEmbedded extracts the active bundle on the disk, through the same checks.
func (o *launchOptions) extractEmbedded(cmd *cobra.Command, dir string, trust bundle.Trust) (m *bundle.Manifest, err error) {
	slot, err := o.choose(cmd)
	if err == nil {
		m, err = o.extractSlot(cmd, slot, dir, trust)
	}
	if errors.Is(err, embed.ErrNone) || errors.Is(err, embed.ErrDisk) {
		return nil, usageErrorf("%w; or give its bundle with --bundle", err)
	}
	if errors.Is(err, embed.ErrEmpty) {
		return nil, usageErrorf("there is no launch bundle on it yet; embed one with \"snpguard embed\", or give it with --bundle")
	}
	return m, err
}

func (o *launchOptions) extractSlot(cmd *cobra.Command, slot, dir string, trust bundle.Trust) (m *bundle.Manifest, err error) {
	err = withSlot(cmd, o.disk, slot, func(s *embed.Slot) error {
		if _, err := s.Manifest(trust); err != nil {
			return err // said more plainly than by the reader of a bundle
		}
		r, w := io.Pipe()
		go func() { w.CloseWithError(s.WriteTar(w, trust)) }()
		m, err = trust.Extract(r, dir)
		r.CloseWithError(err)
		return err
	})
	return m, err
}

// extractDir makes a directory beside the one that is wanted, which appears whole
// or not at all.
func (o *launchOptions) extractDir() (string, error) {
	if _, err := os.Lstat(o.extract); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("--extract: %s: want a directory that does not exist yet", o.extract)
	}
	return os.MkdirTemp(filepath.Dir(o.extract), ".snpguard-extract-")
}

// freeName returns a name under which nothing exists yet: --extract wants that, and
// a bundle may have no ending that could be left out.
func freeName(name string) string {
	for n, free := 0, name; ; n++ {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free
		}
		if free = name + "-files"; n > 0 {
			free = fmt.Sprintf("%s-files-%d", name, n+1)
		}
	}
}

// settle gives the guest the paths at which its files will be found.
func (o *launchOptions) settle(cmd *cobra.Command, b *openedBundle, dir string) error {
	home := o.extract
	switch {
	case o.extract != "":
		if err := os.Rename(dir, o.extract); err != nil {
			return err
		}
	case o.prints():
		home = freeName(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(cmp.Or(o.bundle, o.disk.Image+".bundle")), ".gz"), ".tar"))
		note(cmd, "snpguard: nothing was extracted; --extract %s extracts the files to the paths shown", home)
	default:
		return nil
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return err
	}
	for _, path := range []*string{&b.guest.Firmware, &b.guest.Kernel, &b.guest.Initrd} {
		*path = filepath.Join(home, filepath.Base(*path))
	}
	return nil
}
