package slots

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"
)

// pieceSize is how much is written at a time, in bytes, and pieces how many are on
// their way.
const (
	pieceSize = 1 << 20
	pieces    = 4
)

// writer writes to a disk while the next bytes are read and checked.
type writer struct {
	w     io.WriterAt
	group *errgroup.Group
	ctx   context.Context //nolint:containedctx // of the group, for which it was made
	free  chan []byte
}

func newWriter(ctx context.Context, w io.WriterAt) *writer {
	out := &writer{w: w, free: make(chan []byte, pieces)}
	out.group, out.ctx = errgroup.WithContext(ctx)
	for range pieces {
		out.free <- make([]byte, 0, pieceSize)
	}
	return out
}

// wait ends the writing. The error before, if any, counts less than that of a write.
func (o *writer) wait(before error) error {
	if err := o.group.Wait(); err != nil {
		return err
	}
	return before
}

// file is a place on the disk that is being filled.
type file struct {
	out  *writer
	at   int64 // of the piece
	left int64 // bytes of the place behind it
	buf  []byte
}

// Write implements io.Writer.
func (f *file) Write(p []byte) (int, error) {
	if int64(len(f.buf)+len(p)) > f.left {
		return 0, ErrChanged
	}
	for done := 0; done < len(p); {
		if f.buf == nil {
			select {
			case f.buf = <-f.out.free:
			case <-f.out.ctx.Done():
				return done, context.Cause(f.out.ctx)
			}
		}
		n := copy(f.buf[len(f.buf):cap(f.buf)], p[done:])
		f.buf, done = f.buf[:len(f.buf)+n], done+n
		if len(f.buf) == cap(f.buf) {
			f.flush()
		}
	}
	return len(p), nil
}

func (f *file) flush() {
	buf, at := f.buf, f.at
	f.buf, f.at, f.left = nil, at+int64(len(buf)), f.left-int64(len(buf))
	f.out.group.Go(func() error {
		_, err := f.out.w.WriteAt(buf, at)
		f.out.free <- buf[:0]
		return err
	})
}

// Close implements io.Closer.
func (f *file) Close() error {
	if f.buf != nil {
		f.flush()
	}
	if f.left != 0 {
		return ErrChanged
	}
	return nil
}
