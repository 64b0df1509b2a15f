package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// DeleteImage deletes an image with all its releases. It returns the artifacts
// that nothing refers to any more, for DropArtifact. The error wraps ErrNotFound.
func (s *Store) DeleteImage(ctx context.Context, id wire.UUID) ([][32]byte, error) {
	var free [][32]byte
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if err := lockImage(ctx, q, id); err != nil {
			return err
		}
		free, err = s.deleteUsers(ctx, q, "image_id", query{`DELETE FROM images WHERE id = $1`, []any{id[:]}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete image: %w", err)
	}
	return free, nil
}

// DeleteRelease deletes a release. It returns the artifacts that nothing refers
// to any more, for DropArtifact. The error wraps ErrNotFound.
func (s *Store) DeleteRelease(ctx context.Context, id wire.UUID) ([][32]byte, error) {
	var free [][32]byte
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		free, err = s.deleteUsers(ctx, q, "id", query{`DELETE FROM releases WHERE id = $1`, []any{id[:]}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete release: %w", err)
	}
	return free, nil
}

// deleteUsers deletes releases, selected by the column and the argument of the
// deletion, and returns the artifacts that are free then. Locks on them make
// one of two concurrent deletions see the other.
func (s *Store) deleteUsers(ctx context.Context, q querier, column string, deletion query) ([][32]byte, error) {
	hashes, err := collect(ctx, q, query{
		`SELECT firmware_sha256 FROM releases WHERE ` + column + ` = $1
		UNION SELECT kernel_sha256 FROM releases WHERE ` + column + ` = $1
		UNION SELECT initrd_sha256 FROM releases WHERE ` + column + ` = $1 AND initrd_sha256 IS NOT NULL`, deletion.args,
	}, scanHash)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(hashes, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	for _, hash := range hashes {
		if err := lockArtifact(ctx, q, hash, s.clock()); err != nil {
			return nil, err
		}
	}
	if err := affectOne(ctx, q, deletion); err != nil {
		return nil, err
	}
	return unused(ctx, q, hashes)
}
