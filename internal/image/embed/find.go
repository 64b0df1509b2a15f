package embed

import (
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// device is a disk that is read.
type device interface {
	io.ReaderAt
	Size() int64
}

// found is the partition on a disk.
type found struct {
	number       int // in the table
	offset, size int64
}

// on is the partition of a disk, and nothing of the disk besides.
func (f *found) on(disk slots.Device) slots.Device { return slots.Window(disk, f.offset, f.size) }

// find looks for the partition by its name. Two of them are refused. The error wraps
// ErrNone, ErrArtifacts, ErrDisk or gpt.ErrTable, or is the disk's.
func find(d device) (*found, error) {
	sector, kind, err := gpt.Detect(d, d.Size())
	if err != nil {
		return nil, err
	}
	if kind != gpt.GPT {
		return nil, fmt.Errorf("%w: its partition table is %s, want GPT", ErrDisk, kind)
	}
	t, err := gpt.Read(d, d.Size(), sector)
	if err != nil {
		return nil, err
	}
	var one *found
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.Name != slots.Label {
			continue
		}
		if one != nil {
			return nil, fmt.Errorf("%w: partitions %d and %d are both named so", ErrArtifacts, one.number, p.Number)
		}
		one = &found{p.Number, t.Offset(p), t.Size(p)}
	}
	if one == nil {
		return nil, ErrNone
	}
	return one, nil
}

// writable is a disk that is changed. What was written is durable after Sync.
type writable interface {
	device
	io.WriterAt
	Sync() error
}

// readOnly is a disk that is not changed.
type readOnly struct{ device }

// WriteAt implements io.WriterAt, for nobody.
func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Sync has nothing to do.
func (readOnly) Sync() error { return nil }

// damaged says that it is the partition that is at fault.
func damaged(err error) error {
	if errors.Is(err, ErrArtifacts) || !errors.Is(err, slots.ErrLayout) && !errors.Is(err, slots.ErrSlot) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrArtifacts, err)
}
