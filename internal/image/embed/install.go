package embed

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// writable is a disk that is changed. What was written is durable after Sync.
type writable interface {
	device
	gpt.Disk
	Zero(offset, length int64) error
}

// install writes the file system where nothing points to, makes it durable, lets
// the table point there, and only then wipes where it was before.
func (e *embedding) install(ctx context.Context, w writable, p *plan) error {
	if !p.fresh {
		if err := w.Zero(p.offset, p.size); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
	}
	if err := e.write(ctx, w, p); err != nil {
		return fmt.Errorf("write file system: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.table.Replace(w, p.disk); err != nil {
		return err
	}
	if p.old.size == 0 {
		return nil
	}
	if err := w.Zero(p.old.offset, p.old.size); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	return w.Sync()
}

// write writes the file system and makes it durable. The bundle is checked again
// on its way: it may have changed since it was read first.
func (e *embedding) write(ctx context.Context, w writable, p *plan) error {
	out := newWriter(ctx, w)
	err := out.write(p.layout.Head, p.offset)
	if err == nil {
		err = e.incoming.copyTo(p.slot(out, e.slot, e.incoming.files))
	}
	if err == nil && e.kept != nil {
		err = e.kept.copyFrom(w, p.slot(out, e.kept.Name, e.kept.files))
	}
	if err := out.wait(err); err != nil {
		return err
	}
	return w.Sync()
}
