package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
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
	identity, err := o.identity()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "snpguard-")
	if err != nil {
		return nil, err
	}
	b := &openedBundle{scratch: scratch}
	if err := o.extractTo(cmd, b, identity); err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

func (o *launchOptions) extractTo(cmd *cobra.Command, b *openedBundle, identity ed25519.PublicKey) error {
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
	f, err := openInput(o.bundle)
	if err != nil {
		return err
	}
	defer f.Close()
	b.manifest, err = bundle.Extract(f, dir, identity)
	if errors.Is(err, bundle.ErrSignature) || errors.Is(err, bundle.ErrBundle) {
		note(cmd, "snpguard: %s: %s", o.bundle, safe(err.Error()))
		return errNo
	}
	if err != nil {
		return err
	}
	if b.guest, err = launch.Load(dir, b.manifest, o.variant); errors.Is(err, launch.ErrVariant) {
		return usageErrorf("--variant: %w", err)
	} else if err != nil {
		return err
	}
	return o.settle(cmd, b, dir)
}

// extractDir makes a directory beside the one that is wanted, which appears whole
// or not at all.
func (o *launchOptions) extractDir() (string, error) {
	if _, err := os.Lstat(o.extract); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("--extract: %s: want a directory that does not exist yet", o.extract)
	}
	return os.MkdirTemp(filepath.Dir(o.extract), ".snpguard-extract-")
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
		home = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(o.bundle), ".gz"), ".tar")
		note(cmd, "snpguard: nothing is extracted; --extract %s puts the files where this names them", home)
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

// identity returns the key that has to have signed the bundle.
func (o *launchOptions) identity() (ed25519.PublicKey, error) {
	if o.identityKey == "" {
		service, err := connect()
		if err != nil {
			return nil, fmt.Errorf("%w; log in, or give the service's identity key by --identity-key", err)
		}
		return service.identity(), nil
	}
	data, err := readWhole(o.identityKey, keyfile.MaxSize)
	if err != nil {
		return nil, err
	}
	key, err := keyfile.ParseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.identityKey, err)
	}
	return key, nil
}
