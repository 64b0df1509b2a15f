package boot

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// firstBoot brings the disk under the instance's own key, to the end.
func (b *Boot) firstBoot(ctx context.Context) error {
	defer b.grant.Wipe()
	device, err := b.root.Open()
	if err != nil {
		return err
	}
	defer device.Close()
	first := instance.First{Boot: b.instanceBoot("instance", device), Size: b.root.Size, Pause: b.pauseDeadline}
	if b.key, b.generation, err = first.Run(ctx); err != nil {
		return err
	}
	b.state = wire.StateReady
	return nil
}

// raiseGeneration makes this boot of a ready instance the newest, on the disk and for the
// service. It is the last that needs the volume key.
func (b *Boot) raiseGeneration(ctx context.Context) error {
	defer b.wipe()
	device, err := b.root.Open()
	if err != nil {
		return err
	}
	defer device.Close()
	later := instance.Later{Boot: b.instanceBoot("generation", device)}
	b.generation, err = later.Run(ctx)
	return err
}

func (b *Boot) instanceBoot(step string, device rootdisk.Device) instance.Boot {
	loop := b.loop(step)
	return instance.Boot{
		Config: b.config, Grant: b.grant, Shown: b.shown, Device: device, Log: loop.Log,
		Call: func(ctx context.Context, kind wire.Call, body any, out guestcall.Answer) (guestcall.Call, error) {
			return b.session.Call(ctx, loop, kind, body, out)
		},
	}
}
