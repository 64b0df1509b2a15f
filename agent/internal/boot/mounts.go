package boot

import (
	"context"
)

func (b *Boot) mountBase(context.Context) error {
	b.mounts = newMounts(b.Machine.Mounts)
	if err := b.mounts.base(); err != nil {
		return err
	}
	b.Log.Printf("start", "agent %s", b.Version)
	return nil
}
