package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// DeleteBlob makes a blob disappear. SweepBlobs gives its room back. It is no
// error when there is none.
func (s *Store) DeleteBlob(ctx context.Context, hash [32]byte) error {
	_, err := s.deleteMany(ctx, "blob", query{`UPDATE blobs SET sha256 = NULL, touched_at = 0 WHERE sha256 = $1`, []any{hash[:]}})
	return err
}

// AbortBlob ends an upload that was not finished. It is no error when there is
// none.
func (s *Store) AbortBlob(ctx context.Context, id wire.UUID) error {
	n, err := s.deleteMany(ctx, "blob", query{`UPDATE blobs SET touched_at = 0 WHERE id = $1 AND sha256 IS NULL`, []any{id[:]}})
	if err != nil || n == 0 {
		return err
	}
	return s.dropChunks(ctx, id)
}

// SweepBlobs deletes what is left of deleted blobs, and uploads that have not
// gone on since the given time. It returns how many.
func (s *Store) SweepBlobs(ctx context.Context, before time.Time) (int, error) {
	if _, err := s.deleteMany(ctx, "blobs", query{
		`UPDATE blobs SET touched_at = 0 WHERE sha256 IS NULL AND touched_at < $1`, []any{micros(before)},
	}); err != nil {
		return 0, err
	}
	var ids []wire.UUID
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		ids, err = collect(ctx, q, query{text: `SELECT id FROM blobs WHERE sha256 IS NULL AND touched_at = 0`}, func(row scanner) (wire.UUID, error) {
			var id wire.UUID
			err := row.Scan(exactly(id[:]))
			return id, err
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep blobs: %w", err)
	}
	for n, id := range ids {
		if err := s.dropChunks(ctx, id); err != nil {
			return n, err
		}
	}
	return len(ids), nil
}

// dropStep is how many chunks are deleted in one transaction: others that want to
// write do not wait long.
const dropStep = 16

// dropChunks deletes a blob that is marked as deleted.
func (s *Store) dropChunks(ctx context.Context, id wire.UUID) error {
	for {
		n, err := s.deleteMany(ctx, "chunks", query{
			`DELETE FROM blob_chunks WHERE blob_id = $1 AND position IN (SELECT position FROM blob_chunks WHERE blob_id = $1 LIMIT $2)`,
			[]any{id[:], dropStep},
		})
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	_, err := s.deleteMany(ctx, "blob", query{`DELETE FROM blobs WHERE id = $1 AND sha256 IS NULL AND touched_at = 0`, []any{id[:]}})
	return err
}
