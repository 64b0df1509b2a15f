package embed

import (
	"context"
	"fmt"
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/ext4"
)

// writable is a disk that is changed. What was written is durable after Sync.
type writable interface {
	device
	gpt.Disk
	Zero(offset, length int64) error
}

// pieceSize is how much is written at a time, in bytes.
const pieceSize = 1 << 20

// install writes the file system where nothing points to, makes it durable, lets
// the table point there, and only then wipes where it was before.
func (p *plan) install(ctx context.Context, w writable, image *os.File) error {
	if !p.fresh {
		if err := w.Zero(p.offset, p.size); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
	}
	used, err := usedRanges(image, p.size)
	if err != nil {
		return err
	}
	err = qemu.ReadRanges(ctx, image, used, pieceSize, func(b []byte, offset int64) error {
		_, err := w.WriteAt(b, p.offset+offset)
		return err
	})
	if err == nil {
		err = w.Sync()
	}
	if err != nil {
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

// usedRanges returns what of a file system does not read as zeros.
func usedRanges(image *os.File, size int64) ([]qemu.Range, error) {
	fsys, err := ext4.Open(image, size)
	if err != nil {
		return nil, fmt.Errorf("read file system that mke2fs made: %w", err)
	}
	var ranges []qemu.Range
	for r, err := range fsys.Used() {
		if err != nil {
			return nil, fmt.Errorf("read file system that mke2fs made: %w", err)
		}
		ranges = append(ranges, qemu.Range{Offset: r.Offset, Length: r.Length})
	}
	return ranges, nil
}
