package embed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

// Options are a Config together with what it names. One of Reader and Staging is
// set.
type Options struct {
	Config               // of its Image, a raw or qcow2 with a GPT, and how; Bundle is only a name
	Reader  io.Reader    // launch bundle, tar or tar.gz; read twice where it can be rewound
	Trust   bundle.Trust // who has to have signed it
	Staging string       // directory of a conversion without encryption, with a launch configuration
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
// bundle.ErrBundle, staging.ErrStaging, errTooLarge, ErrDisk, ErrArtifacts,
// gpt.ErrTable or qemu.ErrImage, or is an *option.Error.
func Embed(ctx context.Context, o *Options) (*Result, error) {
	size, err := o.bytes()
	if err != nil {
		return nil, err
	}
	incoming, err := o.open()
	if err != nil {
		return nil, err
	}
	defer incoming.close() //nolint:errcheck // it was only read
	if err := incoming.check(); err != nil {
		return nil, err
	}
	lock, err := lockImage(o.Image)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	e := &embedding{Options: o, size: size, incoming: incoming, slot: SlotA}
	return e.run(ctx)
}

// embedding is one run.
type embedding struct {
	*Options
	size     int64 // of the partition, in bytes; 0 for as it is, or DefaultSize
	incoming *incoming
	slot     string // for what is embedded, and active afterwards
	kept     *Slot  // of the present partition, that stays as it is; nil for none
}

func (e *embedding) run(ctx context.Context) (*Result, error) {
	source, err := qemu.Files{Image: e.Image, Backing: e.Backing}.Probe()
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
	if p.disk > source.VirtualSize {
		if err := qemu.Resize(ctx, source, p.disk); err != nil {
			return nil, err
		}
	}
	w, err := qemu.OpenWritable(ctx, source)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(e.install(ctx, w, p), w.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Image, err)
	}
	return p.result(e.slot, true), nil
}
