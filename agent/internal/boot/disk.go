package boot

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/mounts"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// findRoot waits for the root's partition, extends it when its disk has grown,
// and reads the sealed volume key.
func (b *Boot) findRoot(ctx context.Context) error {
	machine := rootdisk.Machine{Sys: b.Machine.at(mounts.Sys), Dev: b.Machine.at(mounts.Dev)}
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
			b.Log.Printf("disk", "%s extended from %s to %s", b.root.Name, size.Text(before), size.Text(b.root.Size))
		}
	}
	b.Log.Printf("disk", "root is %s, %s", b.root.Name, size.Text(b.root.Size))
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
