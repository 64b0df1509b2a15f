package embed

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// Choice is the slot that a launch takes.
type Choice struct {
	slots.State        // as it is now; of a slot on trial this launch is counted
	Failed      string // the slot whose trial this launch has ended, returning to the other one; empty for none
}

// Choose says which slot the next launch of a disk takes. A slot on trial is given so
// many launches, each of them counted on the disk before this returns; then the other
// slot becomes the active one, unless it holds nothing. The error wraps ErrNone,
// ErrArtifacts, ErrDisk, gpt.ErrTable or qemu.ErrImage.
func Choose(ctx context.Context, files qemu.Files, trials int) (*Choice, error) {
	a, err := Open(ctx, files)
	if err != nil {
		return nil, err
	}
	c := &Choice{State: a.State}
	if err := a.Close(); err != nil || !c.Trial {
		return c, err
	}
	err = change(ctx, files, func(w writable) error {
		c, err = choose(w, trials)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("slot %s is on trial, and this launch cannot be counted: %w", c.Active, err)
	}
	return c, nil
}

func choose(w writable, trials int) (*Choice, error) {
	p, _, err := openPartition(w)
	if err != nil {
		return &Choice{}, err
	}
	c := &Choice{State: p.State()}
	if c.Trial && c.Launches >= trials {
		err := p.Switch(c.Other(), false)
		if err == nil {
			return &Choice{State: p.State(), Failed: c.Active}, nil
		}
		if !errors.Is(err, slots.ErrSlot) {
			return c, err
		}
	}
	err = p.Launched()
	c.State = p.State()
	return c, err
}
