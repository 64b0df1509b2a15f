package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Writable is an image that is being changed in place. What was written is durable
// after Sync alone.
type Writable struct {
	*Disk
	served *served
}

// untilClosed is how long qemu-nbd may take to close an image.
const untilClosed = 30 * time.Second

// OpenWritable is Open for reading and writing. It takes raw and qcow2 images that no
// guest is running from, by QEMU's lock, and that stand alone or whose backing file
// Files names, which is read only. The error wraps ErrImage for other ones.
func OpenWritable(ctx context.Context, source *Source) (*Writable, error) {
	if err := source.changeable(); err != nil {
		return nil, err
	}
	s, err := openServed(ctx, source, readWrite)
	if err != nil {
		return nil, err
	}
	d, err := newDisk(s, source, readWrite)
	if err != nil {
		return nil, err
	}
	return &Writable{d, s}, nil
}

// changeable refuses images that are not written to.
func (s *Source) changeable() error {
	switch {
	case s.Format != Raw && s.Format != QCOW2:
		return fmt.Errorf("%w %s: it is in format %s, only raw and qcow2 are changed in place", ErrImage, s.Path, s.Format)
	case s.Backing != nil && !s.named:
		return fmt.Errorf("%w %s: it has a backing file; make one file of both with qemu-img convert", ErrImage, s.Path)
	}
	return nil
}

// WriteAt writes as io.WriterAt does; the disk does not grow.
func (w *Writable) WriteAt(p []byte, off int64) (int, error) { return w.served.WriteAt(p, off) }

// Sync makes what was written durable, the tables of a qcow2 included.
func (w *Writable) Sync() error { return w.served.Flush() }

// Close lets qemu-nbd close the image in order, which it does when nobody is
// connected any more.
func (w *Writable) Close() error {
	err := w.served.Conn.Close()
	select {
	case <-w.served.server.ended:
	case <-time.After(untilClosed):
		err = errors.Join(err, fmt.Errorf("qemu-nbd does not close the image"))
	}
	w.served.server.stop()
	return errors.Join(err, os.RemoveAll(w.served.server.dir))
}
