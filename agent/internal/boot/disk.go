package boot

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instance"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// findRoot waits for the root's partition, extends it when its disk has grown,
// and reads the sealed volume key.
func (b *Boot) findRoot(ctx context.Context) error {
	machine := rootdisk.Machine{Sys: b.Machine.at(dirSys), Dev: b.Machine.at(dirDev)}
	if err := b.waitForRoot(ctx, machine); err != nil {
		return err
	}
	if b.config.Root.Grow {
		before := b.root.Size
		grown, err := b.root.Grow(b.Machine.Reread)
		if err != nil {
			b.Log.Printf("disk", "not extended: %v", err)
		}
		if grown || err != nil {
			if err := b.waitForRoot(ctx, machine); err != nil {
				return err
			}
		}
		if grown {
			b.Log.Printf("disk", "%s extended from %d to %d MiB", b.root.Name, before>>20, b.root.Size>>20)
		}
	}
	b.Log.Printf("disk", "root is %s, %d MiB", b.root.Name, b.root.Size>>20)
	return b.readSealed()
}

// readSealed reads the sealed volume key. A ready instance has no need of it: on a disk
// with records of one, its loss is for the service to judge, which knows the state.
func (b *Boot) readSealed() error {
	sealed, err := b.root.SealedVMK(b.config.Root.SealedVMKOffset, b.config.ImageID)
	if err == nil {
		b.sealed = sealed
		return nil
	}
	device, openErr := b.root.Open()
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	defer device.Close()
	if shown, readErr := instance.Read(device, b.config.ImageID, wire.UUID{}); readErr != nil || !shown.Foreign {
		return errors.Join(err, readErr)
	}
	b.Log.Printf("disk", "only a ready instance can boot: %v", err)
	b.sealed = make([]byte, wire.SealedVMKSize)
	return nil
}

func (b *Boot) waitForRoot(ctx context.Context, machine rootdisk.Machine) error {
	waiting := false
	return soon().Do(ctx, func() error {
		root, err := machine.Find(b.config.Root.PartitionGUID)
		if err == nil {
			b.root = root
			return nil
		}
		if errors.Is(err, rootdisk.ErrAmbiguous) {
			return retry.Permanent(err)
		}
		if !waiting {
			waiting = true
			b.Log.Printf("disk", "waiting: %v", err)
		}
		return err
	})
}
