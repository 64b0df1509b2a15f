package embed

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// change does something with the disk of an image that nothing else changes meanwhile.
func change(ctx context.Context, files qemu.Files, do func(writable) error) error {
	lock, err := lockImage(files.Image)
	if err != nil {
		return err
	}
	defer lock.Close()
	source, err := files.Probe()
	if err != nil {
		return err
	}
	w, err := qemu.OpenWritable(ctx, source)
	if err != nil {
		return err
	}
	if err := errors.Join(do(w), w.Close()); err != nil {
		return fmt.Errorf("%s: %w", files.Image, err)
	}
	return nil
}

// openPartition opens the partition of a disk for writing.
func openPartition(w writable) (*slots.Partition, *found, error) {
	f, err := find(w)
	if err != nil {
		return nil, nil, err
	}
	p, err := slots.Open(f.on(w), f.size)
	return p, f, damaged(err)
}

// Activate makes a slot that holds something the active one, not on trial, by one write
// of one sector, and reports whether it was not before. The error wraps ErrNone,
// ErrArtifacts, ErrDisk, gpt.ErrTable or qemu.ErrImage.
func Activate(ctx context.Context, files qemu.Files, slot string) (changed bool, err error) {
	err = change(ctx, files, func(w writable) error {
		changed, err = activate(w, slot)
		return err
	})
	return changed && err == nil, err
}

func activate(w writable, slot string) (changed bool, err error) {
	p, _, err := openPartition(w)
	if err != nil {
		return false, err
	}
	before := p.State()
	if err := p.Switch(slot, false); err != nil {
		return false, damaged(err)
	}
	return p.State() != before, nil
}
