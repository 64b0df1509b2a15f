package embed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// Artifacts is the partition of a disk that is read. What is in it is hostile.
type Artifacts struct {
	Partition    int // number in the table
	Offset, Size int64
	Slots        [2]*Slot // A and B
	active       int      // -1 when the link leads nowhere
	activeErr    error
	disk         *qemu.Disk
}

// Open reads the partition of an image. The error wraps ErrNone, ErrArtifacts, ErrDisk,
// gpt.ErrTable or qemu.ErrImage.
func Open(ctx context.Context, files qemu.Files) (*Artifacts, error) {
	source, err := files.Probe()
	if err != nil {
		return nil, err
	}
	disk, err := qemu.Open(ctx, source)
	if err != nil {
		return nil, err
	}
	a, err := read(disk)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", files.Image, err), disk.Close())
	}
	a.disk = disk
	return a, nil
}

// read reads the partition of a disk.
func read(d device) (*Artifacts, error) {
	table, f, err := open(d)
	if err != nil {
		return nil, err
	}
	a := &Artifacts{Partition: f.part.Number, Offset: table.Offset(f.part), Size: table.Size(f.part)}
	for i, name := range []string{SlotA, SlotB} {
		if a.Slots[i], err = readSlot(f.fs, name); err != nil {
			return nil, err
		}
	}
	a.active, a.activeErr = readLink(f.fs)
	if a.activeErr == nil {
		a.Slots[a.active].Active = true
	}
	return a, nil
}

// readLink returns the index of the slot that the link names. Nothing but the
// names of the two slots is taken.
func readLink(fsys *ext4.FS) (int, error) {
	info, err := fsys.Lstat(link)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, fmt.Errorf("%w: it has no link /%s", ErrArtifacts, link)
	}
	if err != nil {
		return -1, damaged(err)
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return -1, fmt.Errorf("%w: /%s is %s, want a symbolic link", ErrArtifacts, link, kind(info.Mode()))
	}
	target, err := fsys.ReadLink(link)
	switch {
	case err != nil:
		return -1, damaged(err)
	case target == SlotA:
		return 0, nil
	case target == SlotB:
		return 1, nil
	}
	return -1, fmt.Errorf("%w: /%s leads to %.100q, want %s or %s", ErrArtifacts, link, target, SlotA, SlotB)
}

// Active returns the slot that the link leads to, which holds something.
func (a *Artifacts) Active() (*Slot, error) {
	if a.activeErr != nil {
		return nil, a.activeErr
	}
	return a.Slot(a.Slots[a.active].Name)
}

// Slot returns the slot of that name, which holds something.
func (a *Artifacts) Slot(name string) (*Slot, error) {
	for _, s := range a.Slots {
		if s.Name != name {
			continue
		}
		if s.Empty() {
			return nil, fmt.Errorf("%w: slot %s is empty", ErrArtifacts, name)
		}
		return s, nil
	}
	return nil, fmt.Errorf("%q is not a slot, want %s or %s", name, SlotA, SlotB)
}

// Close ends the reading.
func (a *Artifacts) Close() error { return a.disk.Close() }
