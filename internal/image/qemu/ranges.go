package qemu

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"
)

// Range is a part of a disk, in bytes.
type Range struct{ Offset, Length int64 }

// readers is how many pieces are read at a time: as many as qemu-nbd takes on.
const readers = 16

// pieceSize is a good size of pieces, in bytes, where nothing asks for larger
// ones: small enough to keep sixteen of them and both ends of a socket busy.
const pieceSize = 256 << 10

// ReadRanges reads ranges of the disk as the function ReadRanges does, in
// pieces that split no cluster, which QEMU would decompress once for each.
// It takes sixteen pieces of memory: 4 MiB, or 32 MiB for the largest clusters.
func (d *Disk) ReadRanges(ctx context.Context, ranges []Range, use func(p []byte, offset int64) error) error {
	return ReadRanges(ctx, d, ranges, max(pieceSize, d.cluster), use)
}

// ReadRanges reads the ranges in pieces that end at multiples of size bytes,
// sixteen at a time, and hands each to use, which is called concurrently, in no
// certain order, and must not keep the bytes. It stops at the first error, or
// with the context. A range that r cannot fill is an error.
func ReadRanges(ctx context.Context, r io.ReaderAt, ranges []Range, size int, use func(p []byte, offset int64) error) error {
	group, ctx := errgroup.WithContext(ctx)
	pieces := make(chan Range)
	group.Go(func() error {
		defer close(pieces)
		return split(ctx, ranges, int64(size), pieces)
	})
	for range readers {
		group.Go(func() error {
			buf := make([]byte, size)
			for piece := range pieces {
				p := buf[:piece.Length]
				if n, err := r.ReadAt(p, piece.Offset); n < len(p) {
					return fmt.Errorf("read %d bytes at %d: %w", len(p), piece.Offset, err)
				}
				if err := use(p, piece.Offset); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// split sends the ranges in pieces that end at multiples of size.
func split(ctx context.Context, ranges []Range, size int64, pieces chan<- Range) error {
	for _, rest := range ranges {
		for rest.Length > 0 {
			piece := Range{rest.Offset, min(rest.Length, size-rest.Offset%size)}
			select {
			case pieces <- piece:
			case <-ctx.Done():
				return ctx.Err()
			}
			rest = Range{rest.Offset + piece.Length, rest.Length - piece.Length}
		}
	}
	return nil
}
