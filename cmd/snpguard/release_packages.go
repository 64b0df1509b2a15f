package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/debarchive"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/pkgfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// packageOptions say by flags which packages a kernel comes from, and which archive
// vouches for them.
type packageOptions struct {
	packages, index []string
	keyring         string
	maxAge          option.Duration
}

func (o *packageOptions) add(cmd *cobra.Command) {
	o.maxAge = option.Duration(30 * 24 * time.Hour)
	f := cmd.Flags()
	f.StringArrayVar(&o.packages, "kernel-package", nil, "package of the kernel or of modules, .deb or .rpm: FILE, FILE#sha256=HEX or URL#sha256=HEX; may be repeated")
	f.StringVar(&o.keyring, "signed-by", "", "keyring of OpenPGP keys, one of which must have signed the InRelease of --index")
	f.StringArrayVar(&o.index, "index", nil, "InRelease of a Debian archive, and each Packages file that lists the packages; may be repeated")
	f.Var(&o.maxAge, "max-index-age", "oldest InRelease that is accepted")
}

// check wants the flags to be complete.
func (o *packageOptions) check() error {
	switch {
	case (o.keyring == "") != (len(o.index) == 0):
		return usageErrorf("--signed-by and --index must be given together: the keyring, and the archive's InRelease and Packages")
	case o.keyring != "" && len(o.packages) == 0:
		return usageErrorf("--signed-by needs --kernel-package")
	}
	for _, text := range o.packages {
		if _, err := pkgfile.Parse(text); err != nil {
			return usageErrorf("--kernel-package %s: %w", text, err)
		}
	}
	return nil
}

// open fetches the packages and unpacks them below dir.
func (o *packageOptions) open(ctx context.Context, dir string) (*linuxpkg.Set, error) {
	var sources []linuxpkg.Source
	for _, text := range o.packages {
		spec, err := pkgfile.Parse(text)
		if err != nil {
			return nil, err
		}
		source, err := spec.Fetch(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("--kernel-package %s: %w", text, err)
		}
		sources = append(sources, source)
	}
	return linuxpkg.Open(dir, sources...)
}

// provenance says what the packages are, and of which archive where one is named.
func (o *packageOptions) provenance(packages []linuxpkg.Package) (*wire.Provenance, error) {
	p := &wire.Provenance{}
	for _, k := range packages {
		p.Packages = append(p.Packages, wire.ProvenancePackage{Name: k.Name, Version: k.Version, Architecture: k.Architecture, SHA256: k.SHA256})
	}
	if o.keyring == "" {
		return p, p.Check()
	}
	index, err := o.readIndex()
	if err != nil {
		return nil, err
	}
	if p.Archive, err = index.Check(packages, time.Now()); err != nil {
		return nil, fmt.Errorf("--index: %w", err)
	}
	return p, p.Check()
}

// readIndex tells the InRelease among the files of --index from the Packages.
func (o *packageOptions) readIndex() (*debarchive.Index, error) {
	x := &debarchive.Index{MaxAge: time.Duration(o.maxAge)}
	var err error
	if x.Keyring, err = readWhole(o.keyring, debarchive.MaxKeyring); err != nil {
		return nil, fmt.Errorf("--signed-by: %w", err)
	}
	for _, path := range o.index {
		start, err := readBounded(path, int64(len(debarchive.MessageStart)))
		if err != nil {
			return nil, fmt.Errorf("--index: %w", err)
		}
		if !bytes.Equal(start, []byte(debarchive.MessageStart)) {
			x.Packages = append(x.Packages, func() (io.ReadCloser, error) { return openInput(path) })
			continue
		}
		if x.InRelease != nil {
			return nil, usageErrorf("--index: %s is a second InRelease; give one, and the Packages files that it names", path)
		}
		if x.InRelease, err = readWhole(path, debarchive.MaxInRelease); err != nil {
			return nil, fmt.Errorf("--index: %w", err)
		}
	}
	if x.InRelease == nil || len(x.Packages) == 0 {
		return nil, usageErrorf("--index must be given at least twice: the archive's InRelease, and a Packages file that it names")
	}
	return x, nil
}

// badPackages says which errors are about what the packages are: the answer is no.
func badPackages(err error) bool {
	for _, answer := range []error{
		linuxpkg.ErrPackage, linuxpkg.ErrKernel,
		debarchive.ErrSignature, debarchive.ErrStale, debarchive.ErrIndex, debarchive.ErrUnlisted,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
