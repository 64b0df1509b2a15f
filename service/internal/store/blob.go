package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// BlobChunkSize is the size in bytes of all chunks of a blob but the last.
const BlobChunkSize = 1 << 20

// Blob is an uploaded file in the database. Package artifact makes and reads
// them.
type Blob struct {
	ID wire.UUID // of this upload; the same content may get another one later
	ArtifactRef
	StoredAt time.Time
}

// BeginBlob begins an upload.
func (s *Store) BeginBlob(ctx context.Context) (wire.UUID, error) {
	id := wire.NewUUID()
	err := s.editOne(ctx, "blob", query{
		`INSERT INTO blobs (id, size, touched_at) VALUES ($1, 0, $2)`, []any{id[:], micros(s.clock())},
	})
	return id, err
}

// AppendBlob adds a chunk of BlobChunkSize bytes, or less for the last. The error
// wraps ErrInvalid, or ErrNotFound when the upload was swept away.
func (s *Store) AppendBlob(ctx context.Context, id wire.UUID, position int64, chunk []byte) error {
	if len(chunk) == 0 || len(chunk) > BlobChunkSize {
		return fmt.Errorf("append to blob: %w", invalidf("chunk of %d bytes", len(chunk)))
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := affectOne(ctx, q, query{
			`UPDATE blobs SET size = size + $1, touched_at = $2 WHERE id = $3 AND sha256 IS NULL AND touched_at <> 0`,
			[]any{len(chunk), micros(s.clock()), id[:]},
		}); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO blob_chunks (blob_id, position, content) VALUES ($1, $2, $3)`, id[:], position, chunk)
		return err
	})
	if err != nil {
		return fmt.Errorf("append to blob: %w", err)
	}
	return nil
}

// FinishBlob gives an upload its name. It returns false when the same content is
// there already and the upload is of no use. The error wraps ErrNotFound when the
// upload was swept away or has another size.
func (s *Store) FinishBlob(ctx context.Context, id wire.UUID, ref ArtifactRef) (bool, error) {
	err := s.editOne(ctx, "blob", query{
		`UPDATE blobs SET sha256 = $1, touched_at = $2 WHERE id = $3 AND size = $4 AND sha256 IS NULL AND touched_at <> 0`,
		[]any{ref.SHA256[:], micros(s.clock()), id[:], ref.Size},
	})
	if isUnique(err) {
		return false, nil
	}
	return err == nil, err
}

// StatBlob returns a blob by its content. The error wraps ErrNotFound.
func (s *Store) StatBlob(ctx context.Context, hash [32]byte) (Blob, error) {
	found, err := s.blobs(ctx, query{`SELECT id, sha256, size, touched_at FROM blobs WHERE sha256 = $1`, []any{hash[:]}})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("blob %x: %w", hash, ErrNotFound)
	}
	if err != nil {
		return Blob{}, err
	}
	return found[0], nil
}

// ListBlobs returns blobs in the order of their hashes, those after the given
// one, limit at most.
func (s *Store) ListBlobs(ctx context.Context, after [32]byte, limit int) ([]Blob, error) {
	return s.blobs(ctx, query{
		`SELECT id, sha256, size, touched_at FROM blobs WHERE sha256 > $1 ORDER BY sha256 LIMIT $2`, []any{after[:], limit},
	})
}

func (s *Store) blobs(ctx context.Context, ask query) ([]Blob, error) {
	var found []Blob
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, ask, func(row scanner) (Blob, error) {
			var b Blob
			err := row.Scan(exactly(b.ID[:]), exactly(b.SHA256[:]), &b.Size, instant{&b.StoredAt})
			return b, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for blobs: %w", err)
	}
	return found, nil
}

// BlobChunk returns a chunk of an upload. The error wraps ErrNotFound.
func (s *Store) BlobChunk(ctx context.Context, id wire.UUID, position int64) ([]byte, error) {
	var chunk []byte
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `SELECT content FROM blob_chunks WHERE blob_id = $1 AND position = $2 AND LENGTH(content) <= $3`,
			id[:], position, BlobChunkSize).Scan(&chunk)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("chunk %d of blob: %w", position, err)
	}
	return chunk, nil
}
