package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Database keeps artifacts in chunks in the database of a store. A transaction
// holds one chunk, so others that write do not wait for an upload.
type Database struct {
	store *store.Store
	now   func() time.Time
}

// OpenDatabase returns the artifacts in the database. Now is the store's clock.
func OpenDatabase(s *store.Store, now func() time.Time) *Database { return &Database{s, now} }

// stalled is how long an upload may make no progress before Sweep takes it for
// one whose process has died.
const stalled = time.Hour

// cleanup is how long an aborted upload may take to be deleted; Sweep would do it
// later.
const cleanup = 30 * time.Second

// chunks is an upload.
type chunks struct {
	store *store.Store
	ctx   context.Context // of Create
	id    wire.UUID
	next  int64  // position of the next chunk
	part  []byte // of it
}

// Create implements Store. Writes fail when ctx has ended, or when there was none
// for an hour.
func (d *Database) Create(ctx context.Context, limit int64) (*Writer, error) {
	id, err := d.store.BeginBlob(ctx)
	if err != nil {
		return nil, fmt.Errorf("create artifact: %w", err)
	}
	return newWriter(&chunks{store: d.store, ctx: ctx, id: id, part: make([]byte, 0, store.BlobChunkSize)}, limit), nil
}

func (c *chunks) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), cap(c.part)-len(c.part))
		c.part, p = append(c.part, p[:n]...), p[n:]
		if len(c.part) == cap(c.part) {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *chunks) flush() error {
	if len(c.part) == 0 {
		return nil
	}
	err := c.store.AppendBlob(c.ctx, c.id, c.next, c.part)
	c.next, c.part = c.next+1, c.part[:0]
	return err
}

func (c *chunks) commit(ref store.ArtifactRef) error {
	if err := c.flush(); err != nil {
		return err
	}
	first, err := c.store.FinishBlob(c.ctx, c.id, ref)
	if err != nil || first {
		return err
	}
	return c.abort() // the same content is there
}

func (c *chunks) abort() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), cleanup)
	defer cancel()
	return c.store.AbortBlob(ctx, c.id)
}

// Open implements Store.
func (d *Database) Open(ctx context.Context, ref store.ArtifactRef) (io.ReadCloser, error) {
	blob, err := d.stat(ctx, ref.SHA256)
	if err != nil {
		return nil, err
	}
	if blob.Size != ref.Size {
		return nil, fmt.Errorf("%w: %x has %d bytes, want %d", ErrCorrupt, ref.SHA256, blob.Size, ref.Size)
	}
	return newReader(&chunkReader{store: d.store, ctx: ctx, blob: blob}, ref), nil
}

// Stat implements Store.
func (d *Database) Stat(ctx context.Context, hash [32]byte) (Info, error) {
	blob, err := d.stat(ctx, hash)
	return Info{blob.ArtifactRef, blob.StoredAt}, err
}

func (d *Database) stat(ctx context.Context, hash [32]byte) (store.Blob, error) {
	blob, err := d.store.StatBlob(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("artifact %x: %w", hash, ErrNotFound)
	}
	return blob, err
}

// Delete implements Store. In a transaction of the store it takes part in it;
// Sweep then gives the room back.
func (d *Database) Delete(ctx context.Context, hash [32]byte) error {
	return d.store.DeleteBlob(ctx, hash)
}

// Walk implements Store.
func (d *Database) Walk(ctx context.Context, visit func(Info) error) error {
	const page = 500
	var after [32]byte
	for {
		blobs, err := d.store.ListBlobs(ctx, after, page)
		if err != nil {
			return err
		}
		for _, b := range blobs {
			if err := visit(Info{b.ArtifactRef, b.StoredAt}); err != nil {
				return err
			}
			after = b.SHA256
		}
		if len(blobs) < page {
			return nil
		}
	}
}

// Sweep implements Store. An upload without progress for an hour is over.
func (d *Database) Sweep(ctx context.Context) (int, error) {
	return d.store.SweepBlobs(ctx, d.now().Add(-stalled))
}

// chunkReader reads a blob chunk by chunk.
type chunkReader struct {
	store *store.Store
	ctx   context.Context // of Open
	blob  store.Blob
	next  int64  // position of the next chunk
	part  []byte // what is left of the last
}

// Read implements io.Reader. The error wraps ErrCorrupt when chunks are missing,
// too many or too short.
func (r *chunkReader) Read(p []byte) (int, error) {
	if len(r.part) == 0 {
		if r.next*store.BlobChunkSize >= r.blob.Size {
			return 0, io.EOF
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.part)
	r.part = r.part[n:]
	return n, nil
}

func (r *chunkReader) fetch() error {
	want := min(store.BlobChunkSize, r.blob.Size-r.next*store.BlobChunkSize)
	part, err := r.store.BlobChunk(r.ctx, r.blob.ID, r.next)
	if errors.Is(err, store.ErrNotFound) || err == nil && int64(len(part)) != want {
		return fmt.Errorf("%w: chunk %d of %x", ErrCorrupt, r.next, r.blob.SHA256)
	}
	if err != nil {
		return fmt.Errorf("read artifact %x: %w", r.blob.SHA256, err)
	}
	r.part, r.next = part, r.next+1
	return nil
}

// Close implements io.Closer.
func (r *chunkReader) Close() error { return nil }
