package update

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/artifacts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Confirm says that the release that runs has booted completely: on the disk, where it
// ends the trial of the slot, and to the service. The error may wrap service.ErrDenied
// or status.ErrNone.
func (g *Guest) Confirm(ctx context.Context) error {
	if err := g.load(); err != nil {
		return err
	}
	// The disk first: the service may be away, and a launcher counts launches.
	return errors.Join(g.confirmSlot(), g.confirmService(ctx))
}

// confirmSlot ends the trial of the slot that was launched.
func (g *Guest) confirmSlot() error {
	t, err := readTrial(g.Root)
	if err != nil {
		return err
	}
	if t.Release == g.release {
		if err := forgetTrial(g.Root); err != nil {
			return err
		}
	}
	slots, closeSlots, err := g.Open()
	if errors.Is(err, artifacts.ErrNone) {
		g.Log("the disk has no slots to confirm")
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the slots: %w", err)
	}
	state := slots.State()
	switch active := g.slotRelease(slots, state.Active); {
	case !state.Trial:
	case active != g.release:
		g.Log("slot %s is on trial with release %s, which does not run: it is not confirmed", state.Active, active)
	default:
		if err = slots.Confirm(); err == nil {
			g.Log("slot %s is confirmed", state.Active)
		}
	}
	return errors.Join(err, closeSlots())
}

func (g *Guest) confirmService(ctx context.Context) error {
	var answer wire.ConfirmAnswer
	at, err := g.session.Call(ctx, wire.CallConfirm, &wire.ConfirmRequest{Machine: g.machine}, &answer)
	if err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	g.Log("%s knows that release %s has booted", at, answer.Release)
	return nil
}
