package boot

import (
	"context"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/mounts"
)

func (b *Boot) mountBase(context.Context) error {
	b.mounts = mounts.New(b.Machine.Mounts)
	if err := b.mounts.Base(); err != nil {
		return err
	}
	b.Log.Printf("start", "agent %s", b.Version)
	return nil
}
