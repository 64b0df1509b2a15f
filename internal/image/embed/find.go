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

// window is the partition of a disk, and nothing of the disk besides. One that is only
// read has no writer.
type window struct {
	device
	w writable
	f *found
}

// writable is a disk that is changed. What was written is durable after Sync.
type writable interface {
	device
	io.WriterAt
	Sync() error
}

var errOutside = errors.New("outside of the partition")

func (w *window) inside(p []byte, off int64) error {
	if off < 0 || off > w.f.size-int64(len(p)) {
		return fmt.Errorf("%d bytes at %d: %w", len(p), off, errOutside)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if err := w.inside(p, off); err != nil {
		return 0, err
	}
	return w.device.ReadAt(p, w.f.offset+off)
}

// WriteAt implements io.WriterAt.
func (w *window) WriteAt(p []byte, off int64) (int, error) {
	if err := w.inside(p, off); err != nil {
		return 0, err
	}
	if w.w == nil {
		return 0, errors.ErrUnsupported
	}
	return w.w.WriteAt(p, w.f.offset+off)
}

// Sync makes what was written durable.
func (w *window) Sync() error {
	if w.w == nil {
		return errors.ErrUnsupported
	}
	return w.w.Sync()
}

// damaged says that it is the partition that is at fault.
func damaged(err error) error {
	if errors.Is(err, ErrArtifacts) || !errors.Is(err, slots.ErrLayout) && !errors.Is(err, slots.ErrSlot) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrArtifacts, err)
}
