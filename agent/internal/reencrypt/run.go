package reencrypt

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
)

// ahead is how many chunks are in memory: one on its way to the disk, one that waits
// for that, one that is being encrypted.
const ahead = 3

// prepared is a chunk under the volume key, or why there is none.
type prepared struct {
	chunk
	bytes []byte
	hash  [sha256.Size]byte
	err   error
}

// Run re-encrypts what of the extents is above the boundary. When it returns nil, that
// is durable and the journal says so. The extents are those of the whole file system, as
// ReadAt showed it. completed, which may be nil, is called after each chunk with the bytes of
// extents that are done, of all: a deadline can pause for as long as that happens. After
// an error, the context's too, only Resume goes on.
func (w *Work) Run(ctx context.Context, extents []Extent, completed func(done, all int64)) error {
	if err := w.volume.checkExtents(extents); err != nil {
		return err
	}
	if w.done {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ready, free := make(chan prepared), make(chan []byte, ahead)
	go w.prepare(ctx, extents, ready, free)
	defer func() { // its end, before anybody wipes the keys
		cancel()
		for range ready {
		}
	}()
	done, all := below(extents, w.boundary), below(extents, w.volume.PayloadSize)
	for p := range ready {
		if p.err != nil {
			return p.err
		}
		if err := w.commit(p); err != nil {
			return err
		}
		free <- p.bytes
		if done += p.used; completed != nil {
			completed(done, all)
		}
	}
	if done != all {
		return fmt.Errorf("re-encrypt: stopped after %d of %d bytes: %w", done, all, context.Cause(ctx))
	}
	return w.finish()
}

// prepare encrypts chunk after chunk, while those before are on their way to the disk.
func (w *Work) prepare(ctx context.Context, extents []Extent, ready chan<- prepared, free chan []byte) {
	defer close(ready)
	limit := cmp.Or(w.volume.chunk, maxChunk)
	for range ahead {
		free <- make([]byte, limit)
	}
	for c := range chunks(extents, w.boundary, limit) {
		var p prepared
		select {
		case b := <-free:
			p = w.encrypt(c, b[:c.Length])
		case <-ctx.Done():
			return
		}
		select {
		case ready <- p:
		case <-ctx.Done():
			return
		}
	}
}

// encrypt reads a chunk under the golden key and brings it under the volume key.
func (w *Work) encrypt(c chunk, b []byte) prepared {
	if _, err := w.volume.Device.ReadAt(b, w.volume.PayloadOffset+c.Offset); err != nil {
		return prepared{err: fmt.Errorf("read payload: %w", err)}
	}
	w.golden.Decrypt(b, b, c.Offset)
	w.target.Encrypt(b, b, c.Offset)
	return prepared{chunk: c, bytes: b, hash: sha256.Sum256(b)}
}

// commit writes a chunk: buffer and record, flush, in place.
func (w *Work) commit(p prepared) error {
	v, sequence := w.volume, w.sequence+1
	record := instancedisk.JournalRecord{
		Kind: instancedisk.Chunk, Sealed: v.Sealed, Sequence: sequence, Place: p.Offset, Length: p.Length, Buffer: p.hash,
	}
	err := v.write(instancedisk.BufferAt(sequence), p.bytes)
	if err == nil {
		err = w.record(record)
	}
	if err == nil {
		err = v.flush()
	}
	if err == nil {
		err = v.write(v.PayloadOffset+p.Offset, p.bytes)
	}
	if err != nil {
		return fmt.Errorf("write chunk %d: %w", sequence, err)
	}
	w.sequence, w.boundary = sequence, p.end()
	return nil
}

// finish makes the last chunk durable and says in both places that all is done, in one
// after the other: a torn sector leaves the other.
func (w *Work) finish() error {
	if err := w.volume.flush(); err != nil {
		return err
	}
	for range 2 {
		w.sequence++
		record := instancedisk.JournalRecord{Kind: instancedisk.Done, Sealed: w.volume.Sealed, Sequence: w.sequence, Place: w.boundary}
		if err := w.record(record); err != nil {
			return fmt.Errorf("end journal: %w", err)
		}
		if err := w.volume.flush(); err != nil {
			return err
		}
	}
	w.done = true
	return nil
}

func (w *Work) record(r instancedisk.JournalRecord) error {
	return w.volume.write(instancedisk.JournalAt(r.Sequence), instancedisk.EncodeJournal(w.volume.id(), r, w.key))
}
