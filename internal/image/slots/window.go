package slots

import (
	"errors"
	"fmt"
)

// errOutside is a read or write that leaves a window.
var errOutside = errors.New("outside of the partition")

// window is a piece of a device.
type window struct {
	d        Device
	at, size int64
}

// Window returns the bytes of a disk from an offset on as a device, which reads and
// writes nothing besides.
func Window(disk Device, at, size int64) Device { return &window{disk, at, size} }

func (w *window) inside(p []byte, off int64) error {
	if off < 0 || off > w.size-int64(len(p)) {
		return fmt.Errorf("%d bytes at %d: %w", len(p), off, errOutside)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	if err := w.inside(p, off); err != nil {
		return 0, err
	}
	return w.d.ReadAt(p, w.at+off)
}

// WriteAt implements io.WriterAt.
func (w *window) WriteAt(p []byte, off int64) (int, error) {
	if err := w.inside(p, off); err != nil {
		return 0, err
	}
	return w.d.WriteAt(p, w.at+off)
}

// Sync makes what was written durable.
func (w *window) Sync() error { return w.d.Sync() }
