package boot

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
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
	sealed, err := b.root.SealedVMK(b.config.Root.SealedVMKOffset, b.config.ImageID)
	b.sealed = sealed
	return err
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
