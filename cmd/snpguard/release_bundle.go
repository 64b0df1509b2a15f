package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// scratchDir makes a directory of this run that only its owner can read.
func scratchDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "snpguard-")
	return dir, func() { os.RemoveAll(dir) }, err //nolint:errcheck // nothing is left to do about it
}

// extract downloads the bundle of a release, checks it and extracts it below dir.
func (c *connected) extract(cmd *cobra.Command, image *wire.Image, release *wire.Release, dir string) (string, *bundle.Manifest, error) {
	packed := filepath.Join(dir, release.ID.String()+".tar.gz")
	request := client.BundleRequest{Image: image.ID, Release: release.ID, Format: bundle.TarGz}
	if err := c.download(cmd, request, packed); err != nil {
		return "", nil, err
	}
	f, err := os.Open(packed)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	out := filepath.Join(dir, release.ID.String())
	if err := os.Mkdir(out, 0o700); err != nil {
		return "", nil, err
	}
	m, err := bundle.Extract(f, out, c.identity())
	return out, m, err
}

// openRelease is extract for a release whose initrd is the agent's alone.
func (c *connected) openRelease(cmd *cobra.Command, image *wire.Image, release *wire.Release, dir string) (*rekernel.Release, error) {
	out, m, err := c.extract(cmd, image, release, dir)
	if err != nil {
		return nil, err
	}
	return rekernel.Open(out, m)
}

// chooseFrom finds the release that another is made from, or held against: the one that
// is named, or the newest in force that is not that other.
func chooseFrom(image *wire.Image, text string, other wire.UUID) (*wire.Release, error) {
	if text != "" {
		return findRelease(image, text)
	}
	for i := range image.Releases {
		if r := &image.Releases[i]; r.ID != other && inForce(r) {
			return r, nil
		}
	}
	return nil, fmt.Errorf("image %s has no other release in force; give one with --from", image.ID)
}

// inForce says whether guests of a release get their key.
func inForce(r *wire.Release) bool { return r.State == wire.StateApproved }
