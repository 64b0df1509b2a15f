package uki

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Addon is what one addon adds to an image.
type Addon struct {
	File      string
	Cmdline   string
	Initrd    bool
	Microcode bool
}

// Addons lists what a directory adds to an image whose kernel has a release, in the
// order in which the stub takes it. Nothing there is no error. An addon for another
// release is left out, as is one without a release for none.
func Addons(fsys fs.FS, dir, release string) (all []Addon, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(strings.ToLower(e.Name()), ".addon.efi") {
			names = append(names, e.Name())
		}
	}
	if len(names) > maxAddons {
		return nil, fmt.Errorf("%w: %s has more than %d addons", ErrMalformed, dir, maxAddons)
	}
	slices.Sort(names)
	for _, name := range names {
		addon, fits, err := readAddon(fsys, path.Join(dir, name), release)
		if errors.Is(err, ErrNot) {
			continue // the firmware would not load it
		}
		if err != nil {
			return nil, err
		}
		if fits {
			all = append(all, *addon)
		}
	}
	return all, nil
}

// readAddon reads an addon. It fits unless it names another release than that of the
// image.
func readAddon(fsys fs.FS, name, release string) (a *Addon, fits bool, err error) {
	image, err := Open(fsys, name)
	if err != nil {
		return nil, false, err
	}
	defer image.Close() //nolint:errcheck // it was only read
	line, err := image.CommandLine()
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	wanted, err := image.Text(Uname)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", name, err)
	}
	fits = wanted == "" || release == "" || strings.TrimSpace(wanted) == strings.TrimSpace(release)
	return &Addon{File: name, Cmdline: line, Initrd: image.Has(Initrd), Microcode: image.Has(Microcode)}, fits, nil
}
