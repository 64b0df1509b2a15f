package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
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

// Zero makes a range read as zeros.
func (w *Writable) Zero(off, length int64) error { return w.served.Zero(off, length) }

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

// Resize makes the virtual disk larger, to so many bytes; what is new reads as
// zeros. A disk is never made smaller. A cut leaves it with the old or the new
// size.
func Resize(ctx context.Context, source *Source, to int64) error {
	if err := source.changeable(); err != nil {
		return err
	}
	if to < source.VirtualSize || to > maxSize {
		return fmt.Errorf("resize image %s: to %s, want %s at least, which it has, and %s at most",
			source.Path, size.Text(to), size.Text(source.VirtualSize), size.Text(maxSize))
	}
	name, err := source.name(readWrite)
	if err != nil {
		return err
	}
	cmd, words, err := program(ctx, "qemu-img", "resize", "-q", name, strconv.FormatInt(to, 10))
	if err != nil {
		return err
	}
	err = run(ctx, cmd)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("resize image %s: qemu-img: %s: %w", source.Path, words, err)
	}
	if err != nil {
		return fmt.Errorf("resize image %s: %w", source.Path, err)
	}
	source.VirtualSize = to
	return nil
}
