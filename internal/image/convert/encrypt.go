package convert

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// chunkSize is how much is read, encrypted and written at a time, in bytes: a
// multiple of every cluster size.
const chunkSize = 1 << 20

// atOnce is how many chunks are under way: while some wait for the source and some
// for the disk, others are encrypted.
const atOnce = 8

// clusterSize is the granularity of what is written, in bytes. What nobody uses
// of a cluster in use is zero, unless free space is filled.
const clusterSize = 64 << 10

// payload is the encryption of one file system into a disk.
type payload struct {
	cipher *xts.Cipher
	source io.ReaderAt // the file system in clear; zero behind its end
	target io.WriterAt // the disk
	offset int64       // of the payload on the disk
	size   int64       // of the payload
	done   func(n int64)
}

// granule is what is encrypted as a whole, in bytes: a sector of either size is, and a
// list of ranges stays short.
const granule = xts.LargeSector

// granules widens ranges to whole granules, as far as the payload goes, which may end in
// the middle of one, and joins those that touch.
func granules(ranges []rootfs.Range, size int64) []rootfs.Range {
	var out []rootfs.Range
	for _, r := range ranges {
		first := r.Offset / granule * granule
		end := min((r.Offset+r.Length+granule-1)/granule*granule, size)
		if first >= end {
			break
		}
		if n := len(out); n > 0 && out[n-1].Offset+out[n-1].Length >= first {
			out[n-1].Length = max(out[n-1].Offset+out[n-1].Length, end) - out[n-1].Offset
			continue
		}
		out = append(out, rootfs.Range{Offset: first, Length: end - first})
	}
	return out
}

// pieces calls f with the parts of ranges in each piece of so many bytes that has any,
// as long as it returns true.
func pieces(ranges []rootfs.Range, size int64, f func(number int64, parts []rootfs.Range) bool) {
	var parts []rootfs.Range
	current := int64(-1)
	for _, r := range ranges {
		for r.Length > 0 {
			number := r.Offset / size
			if number != current && len(parts) > 0 {
				if !f(current, parts) {
					return
				}
				parts = nil
			}
			current = number
			n := min(r.Length, (number+1)*size-r.Offset)
			parts = append(parts, rootfs.Range{Offset: r.Offset, Length: n})
			r = from(r, r.Offset+n)
		}
	}
	if len(parts) > 0 {
		f(current, parts)
	}
}

// encrypt writes the given ranges, whole sectors, in encrypted form. Sectors of
// zeros are encrypted like all others.
func (p *payload) encrypt(ctx context.Context, ranges []rootfs.Range) error {
	type job struct {
		chunk int64
		parts []rootfs.Range
	}
	jobs := make(chan job)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(jobs)
		pieces(near(ranges, 1), chunkSize, func(chunk int64, parts []rootfs.Range) bool {
			select {
			case jobs <- job{chunk, parts}:
				return true
			case <-ctx.Done():
				return false
			}
		})
		return ctx.Err()
	})
	for range atOnce {
		group.Go(func() error {
			buffer := make([]byte, chunkSize)
			defer clear(buffer)
			for j := range jobs {
				if err := p.encryptChunk(buffer, j.chunk, j.parts); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// encryptChunk encrypts the parts of one chunk and writes the clusters that have
// any of them.
func (p *payload) encryptChunk(buffer []byte, chunk int64, parts []rootfs.Range) error {
	base := chunk * chunkSize
	if err := p.read(buffer, base, parts); err != nil {
		return fmt.Errorf("read root file system: %w", err)
	}
	var inUse [chunkSize / clusterSize]bool
	for _, r := range parts {
		piece := buffer[r.Offset-base:][:r.Length]
		p.cipher.Encrypt(piece, piece, r.Offset)
		for i := (r.Offset - base) / clusterSize; i*clusterSize < r.Offset-base+r.Length; i++ {
			inUse[i] = true
		}
	}
	for first := 0; first < len(inUse); first++ {
		if !inUse[first] {
			continue
		}
		last := first
		for last+1 < len(inUse) && inUse[last+1] {
			last++
		}
		end := min(int64(last+1)*clusterSize, p.size-base)
		piece := buffer[first*clusterSize : end]
		if _, err := p.target.WriteAt(piece, p.offset+base+int64(first*clusterSize)); err != nil {
			return fmt.Errorf("write encrypted root: %w", err)
		}
		first = last
	}
	if p.done != nil {
		p.done(total(parts))
	}
	return nil
}

// read reads the parts of a chunk into the buffer, and leaves the rest of it zero.
// Parts that are close to each other are read at once.
func (p *payload) read(buffer []byte, base int64, parts []rootfs.Range) error {
	for _, r := range near(parts, closeBy) {
		if _, err := p.source.ReadAt(buffer[r.Offset-base:][:r.Length], r.Offset); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	at := base
	for _, r := range parts {
		clear(buffer[at-base : r.Offset-base])
		at = r.Offset + r.Length
	}
	clear(buffer[at-base:])
	return nil
}
