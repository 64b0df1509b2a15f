package embed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
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
	Offset    int64  `json:"offset"` // of the partition, in bytes
	Size      int64  `json:"size"`   // of the partition, in bytes
	Slot      string `json:"slot"`   // that is active now
	Trial     bool   `json:"trial"`  // it is, until the guest confirms
	Changed   bool   `json:"changed"`
}

// Embed puts a bundle on the disk: alone, or with Update beside the one that was
// active. The bundle is checked first, and nothing is written when everything is there
// already. The error wraps bundle.ErrSignature, bundle.ErrBundle, staging.ErrStaging,
// slots.ErrTooLarge, ErrNone, ErrTrial, ErrDisk, ErrArtifacts, gpt.ErrTable or
// qemu.ErrImage, or is an *option.Error.
func Embed(ctx context.Context, o *Options) (*Result, error) {
	if err := o.Check(); err != nil {
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
	var r *Result
	err = change(ctx, qemu.Files{Image: o.Image, Backing: o.Backing}, func(w writable) error {
		r, err = (&embedding{Options: o, incoming: incoming}).run(ctx, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// embedding is one run.
type embedding struct {
	*Options
	incoming *incoming
	p        *slots.Partition
	now      *Artifacts
}

func (e *embedding) run(ctx context.Context, w writable) (*Result, error) {
	if err := e.find(w); err != nil {
		return nil, err
	}
	put := e.alone
	if e.Update {
		put = e.update
	}
	changed, err := put(ctx)
	if err != nil {
		return nil, damaged(err)
	}
	s := e.p.State()
	return &Result{Partition: e.now.Partition, Offset: e.now.Offset, Size: e.now.Size, Slot: s.Active, Trial: s.Trial, Changed: changed}, nil
}

// find opens the partition. One that is damaged is laid out anew unless something in it
// is to be kept.
func (e *embedding) find(w writable) error {
	p, f, err := openPartition(w)
	if errors.Is(err, slots.ErrLayout) && !e.Update {
		if err := layOut(w, f); err != nil {
			return err
		}
		p, f, err = openPartition(w)
	}
	if err != nil {
		return err
	}
	e.p = p
	e.now, err = list(p, f)
	return err
}

func layOut(w writable, f *found) error {
	uuid, err := gpt.NewGUID(rand.Reader)
	if err != nil {
		return err
	}
	head, err := slots.Make(uuid, f.size)
	if err != nil {
		return damaged(err)
	}
	if _, err := f.on(w).WriteAt(head, 0); err != nil {
		return fmt.Errorf("lay out: %w", err)
	}
	return w.Sync()
}

// alone makes the bundle the only one. The one that was active stays until the new one
// is.
func (e *embedding) alone(ctx context.Context) (changed bool, err error) {
	before := e.p.State()
	active, other := e.now.any(before.Active), e.now.any(before.Other())
	held, err := e.incoming.isIn(active)
	if err != nil {
		return false, err
	}
	if before.Trial {
		if err := e.p.Confirm(); err != nil {
			return false, err
		}
	}
	if !held {
		if active.err == nil && !active.Empty() {
			active, other = other, active
		}
		if err := e.write(ctx, active.Name, false); err != nil {
			return false, err
		}
	}
	if held && other.err == nil && other.Empty() {
		return before.Trial, nil
	}
	return true, e.p.Clear(other.Name)
}

// update puts the bundle into the slot that is not active.
func (e *embedding) update(ctx context.Context) (changed bool, err error) {
	s := e.p.State()
	active, err := e.now.Active()
	if err != nil {
		return false, err
	}
	if held, err := e.incoming.isIn(active); held || err != nil {
		return false, err
	}
	if s.Trial {
		return false, fmt.Errorf("%w: \"snpguard artifacts activate\" keeps it or returns to the other one", ErrTrial)
	}
	other := e.now.any(s.Other())
	held, err := e.incoming.isIn(other)
	if err != nil {
		return false, err
	}
	if held {
		return true, e.p.Switch(other.Name, e.Trial)
	}
	return true, e.write(ctx, other.Name, e.Trial)
}

// write fills a slot and makes it the active one. The bundle is checked again on its
// way: it may have changed since it was read first.
func (e *embedding) write(ctx context.Context, slot string, trial bool) error {
	u, err := e.p.Begin(ctx, slot, e.incoming.files)
	if err != nil {
		return err
	}
	err = e.incoming.copyTo(func(f bundle.ManifestEntry) (io.WriteCloser, error) { return u.Create(f.Name, f.Size) })
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		err = u.Abort(err)
	} else {
		err = u.Commit()
	}
	if errors.Is(err, slots.ErrChanged) {
		err = errors.Join(errChanged, err)
	}
	if err != nil {
		return err
	}
	return e.p.Switch(slot, trial)
}
