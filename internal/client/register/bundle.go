package register

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// Bundle is a launch bundle to be downloaded.
type Bundle struct {
	client.BundleRequest
	Out      string                      // file to write
	Identity ed25519.PublicKey           // of the service, which signs bundles
	Through  func(w io.Writer) io.Writer // shows progress; nil for none
}

// Download writes a bundle to its file, whole and checked or not at all. SquashFS
// is taken as it comes.
func (b *Bundle) Download(ctx context.Context, c *client.Client) error {
	pending, err := renameio.NewPendingFile(b.Out, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer pending.Cleanup() //nolint:errcheck // nothing is left to do about it
	var w io.Writer = pending
	if b.Through != nil {
		w = b.Through(w)
	}
	if err := c.Bundle(ctx, b.BundleRequest, w); err != nil {
		return err
	}
	if b.Format != bundle.SquashFS {
		if err := b.check(pending.File); err != nil {
			return err
		}
	}
	return pending.CloseAtomicallyReplace()
}

// check reads back what was downloaded.
func (b *Bundle) check(f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	m, err := bundle.Verify(f, b.Identity)
	if err != nil {
		return err
	}
	if m.Image != b.Image || m.Release != b.Release {
		return fmt.Errorf("the bundle is of release %s of image %s", m.Release, m.Image)
	}
	return nil
}
