package embed

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

// Activate makes a slot that holds something the active one, by one write of one
// sector, and reports whether it was not before. The error wraps ErrNone,
// ErrArtifacts, ErrDisk, gpt.ErrTable or qemu.ErrImage.
func Activate(ctx context.Context, files qemu.Files, slot string) (changed bool, err error) {
	lock, err := lockImage(files.Image)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	source, err := files.Probe()
	if err != nil {
		return false, err
	}
	w, err := qemu.OpenWritable(ctx, source)
	if err != nil {
		return false, err
	}
	changed, err = activate(w, slot)
	if err = errors.Join(err, w.Close()); err != nil {
		return false, fmt.Errorf("%s: %w", files.Image, err)
	}
	return changed, nil
}

func activate(w writable, slot string) (changed bool, err error) {
	present, err := read(w)
	if err != nil {
		return false, err
	}
	if present.activeErr != nil {
		return false, present.activeErr
	}
	wanted, err := present.Slot(slot)
	if err != nil || wanted.Active {
		return false, err
	}
	offset, sector, err := wanted.fs.Relink(link, slot)
	if err != nil {
		return false, damaged(err)
	}
	if _, err := w.WriteAt(sector, present.Offset+offset); err != nil {
		return false, fmt.Errorf("switch the link: %w", err)
	}
	return true, w.Sync()
}
