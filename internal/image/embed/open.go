package embed

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// Artifacts is the partition of a disk that is read. What is in it is hostile.
type Artifacts struct {
	Partition    int // number in the table
	Offset, Size int64
	State        slots.State
	Slots        [2]*Slot // A and B
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
	f, err := find(d)
	if err != nil {
		return nil, err
	}
	p, err := slots.Open(f.on(readOnly{d}), f.size)
	if err != nil {
		return nil, damaged(err)
	}
	return list(p, f)
}

// list reads what is in the slots.
func list(p *slots.Partition, f *found) (a *Artifacts, err error) {
	a = &Artifacts{Partition: f.number, Offset: f.offset, Size: f.size, State: p.State()}
	for i, name := range []string{slots.A, slots.B} {
		if a.Slots[i], err = readSlot(p, name); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Active returns the slot that the link leads to, which holds something.
func (a *Artifacts) Active() (*Slot, error) { return a.Slot(a.State.Active) }

// Slot returns the slot of that name, which holds something.
func (a *Artifacts) Slot(name string) (*Slot, error) {
	s := a.any(name)
	switch {
	case s == nil:
		return nil, fmt.Errorf("%q is not a slot, want %s or %s", name, slots.A, slots.B)
	case s.err != nil:
		return nil, s.err
	case s.Empty():
		return nil, fmt.Errorf("%w: slot %s %w", ErrArtifacts, name, ErrEmpty)
	}
	return s, nil
}

// any returns the slot of that name, whatever it holds; nil if there is none.
func (a *Artifacts) any(name string) *Slot {
	for _, s := range a.Slots {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Close ends the reading.
func (a *Artifacts) Close() error { return a.disk.Close() }
