package boot

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// errDistribution is a service that has instances for an image that cannot have them: the
// initrd of a distribution would run before the disk is the instance's own.
var errDistribution = errors.New(`the service answers for an instance, and this image was converted with "--initrd distribution": convert it with "--initrd minimal", or set its instances to "none"`)

// unlock gets the keys of the root, which of them depends on the instance's state.
func (b *Boot) unlock(ctx context.Context) error {
	launch, err := b.identify(ctx)
	if err != nil {
		return err
	}
	if err := b.readShown(launch.Instance()); err != nil {
		return err
	}
	if b.session, err = unlock.New(b.config, launch, b.sealed, b.shown.Disk()); err != nil {
		return err
	}
	defer b.session.Forget()
	if b.grant, err = b.session.Run(ctx, b.loop("unlock")); err != nil {
		return err
	}
	b.Log.Printf("unlock", "key released by %s, report from %s, %d bytes of certificates",
		b.grant.Service, b.grant.Evidence.Provider, len(b.grant.Evidence.Certificates))
	b.state, b.generation = b.grant.State, b.grant.Generation
	switch b.state {
	case wire.StateNone:
		b.key = b.grant.Golden
	case wire.StateReady:
		b.key = b.grant.Volume
	}
	if b.state != wire.StateNone && b.config.Initrd == bootconf.InitrdDistribution {
		return errDistribution
	}
	return nil
}

// identify waits for the first report, and learns from it which launch this is.
func (b *Boot) identify(ctx context.Context) (launch *report.Launch, err error) {
	waiting := false
	err = soon().Do(ctx, func() error {
		launch, err = report.Identify(func(data [report.DataSize]byte) (*report.Evidence, error) {
			return report.Get(b.Machine.Providers, data)
		})
		if err != nil && !waiting {
			waiting = true
			b.Log.Printf("unlock", "waiting: %v", err)
		}
		return err
	})
	return launch, err
}

// readShown reads what the disk shows of the instance that HOST_DATA names.
func (b *Boot) readShown(id wire.UUID) error {
	if id.IsZero() {
		return nil
	}
	device, err := b.root.Open()
	if err != nil {
		return err
	}
	defer device.Close()
	if b.shown, err = instance.Read(device, b.config.ImageID, id); err != nil {
		return err
	}
	found := fmt.Sprintf("%d record(s) and %d generation(s) of it on the disk", len(b.shown.Sealed), len(b.shown.Disk().Generations))
	if b.shown.Foreign {
		found = "the disk is another instance's, or another image's"
	}
	b.Log.Printf("unlock", "launched as instance %s; %s", id, found)
	return nil
}

func (b *Boot) loop(step string) unlock.Loop {
	return unlock.NewLoop(b.paths, func(format string, args ...any) { b.Log.Printf(step, format, args...) })
}
