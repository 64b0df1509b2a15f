package embed

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/qemu"
)

// Options say what to embed into which image. One of Bundle and Staging is set.
type Options struct {
	Image    string            // raw or qcow2, with a GPT; changed in place
	Bundle   io.Reader         // launch bundle, tar or tar.gz
	Identity ed25519.PublicKey // that has to have signed it
	Staging  string            // directory of a conversion without encryption, with a launch configuration
	Size     int64             // of the partition, in bytes; 0 for as it is, or DefaultSize
	Update   bool              // keep the active slot, put the bundle into the other one
}

// Result says where the bundle is.
type Result struct {
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`    // of the partition, in bytes
	Size      int64  `json:"size"`      // of the partition, in bytes
	Disk      int64  `json:"disk_size"` // size of the disk, in bytes
	Slot      string `json:"slot"`      // that is active now
	Changed   bool   `json:"changed"`
}

// Embed puts a bundle on the disk: alone in slot A, with B empty, or with Update
// beside the one that was active. The bundle is checked first, and nothing is
// written when everything is there already. The error wraps bundle.ErrSignature,
// bundle.ErrBundle, staging.ErrStaging, ErrTooLarge, ErrDisk, ErrArtifacts,
// gpt.ErrTable or qemu.ErrImage.
func Embed(ctx context.Context, o *Options) (*Result, error) {
	dir, err := os.MkdirTemp("", "snpguard-embed-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing is left to do about it
	e := &embedding{Options: o, work: dir, tree: filepath.Join(dir, "tree"), slot: SlotA}
	for _, slot := range []string{SlotA, SlotB} {
		if err := os.MkdirAll(filepath.Join(e.tree, slot), 0o755); err != nil {
			return nil, err
		}
	}
	if err := e.fill(filepath.Join(e.tree, e.slot)); err != nil {
		return nil, err
	}
	lock, err := lockImage(o.Image)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return e.run(ctx)
}

// embedding is one run.
type embedding struct {
	*Options
	work string // private directory
	tree string // what the file system is going to hold
	slot string // the one that is going to be active
}

// fill puts what is embedded into a directory.
func (e *embedding) fill(dir string) error {
	if e.Bundle == nil {
		return fillStaging(dir, e.Staging)
	}
	_, err := bundle.Extract(e.Bundle, dir, e.Identity)
	return err
}

func (e *embedding) run(ctx context.Context) (*Result, error) {
	source, err := qemu.Probe(e.Image)
	if err != nil {
		return nil, err
	}
	p, err := e.plan(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Image, err)
	}
	if p.same {
		return p.result(e.slot, false), nil
	}
	image, err := e.makeFilesystem(ctx, p.size)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	if p.disk > source.VirtualSize {
		if err := qemu.Resize(ctx, source, p.disk); err != nil {
			return nil, err
		}
	}
	w, err := qemu.OpenWritable(ctx, source)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(p.install(ctx, w, image), w.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Image, err)
	}
	return p.result(e.slot, true), nil
}
