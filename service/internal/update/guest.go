package update

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// guest is who calls.
type guest struct {
	*unlock.Proven
	instance wire.UUID // zero where the image has none
}

// machine returns how the fleet's table knows the guest: by its instance, which is proven,
// or by what it says of itself.
func (g *guest) machine(says wire.UUID) wire.UUID {
	if !g.instance.IsZero() {
		return g.instance
	}
	return says
}

// prove decides whether a guest is who it says. Of an instance it is the launch that runs:
// the one that committed last, whose boot key signs. The error is a *unlock.Denial or wraps
// unlock.ErrUnavailable.
func (s *Service) prove(ctx context.Context, call wire.Call, name string, c *wire.GuestCall, caller unlock.Caller) (*guest, error) {
	proven, err := s.Prover.Prove(ctx, name, evidenceOf(call, c), caller)
	if err != nil {
		return nil, err
	}
	if proven.Launch.Image.Instances.Mode == wire.InstancesNone {
		return &guest{Proven: proven}, nil
	}
	id := wire.HostInstance(proven.Report.HostData)
	denial, err := s.checkInstance(ctx, proven, id, c.BootSignature)
	if err != nil {
		return nil, fmt.Errorf("%w: look up instance: %w", unlock.ErrUnavailable, err)
	}
	if denial != nil {
		return nil, s.Prover.Refuse(ctx, name, proven, caller, denial)
	}
	return &guest{proven, id}, nil
}

func (s *Service) checkInstance(ctx context.Context, proven *unlock.Proven, id wire.UUID, signature []byte) (*unlock.Denial, error) {
	if id.IsZero() {
		return unlock.NoInstance(proven.Report.HostData), nil
	}
	found, err := s.Fleet.InstanceByID(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unlock.CheckInstance(nil, proven.Launch.Image.ID), nil
	case err != nil:
		return nil, err
	}
	if denial := unlock.CheckInstance(&found, proven.Launch.Image.ID); denial != nil {
		return denial, nil
	}
	return proven.CheckBoot(found.Committed, signature), nil
}
