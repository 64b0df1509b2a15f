package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// DeleteImage deletes an image with all its releases and instances, for good: neither its
// ID nor its unsealing key is taken again, nor the IDs of its instances. Their shares are
// destroyed at once, and with them what their disks hold. It returns the artifacts that nothing refers to
// any more, for DropArtifact. The error is a *ChannelError or wraps ErrNotFound.
func (s *Store) DeleteImage(ctx context.Context, id wire.UUID) ([][32]byte, error) {
	var free [][32]byte
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		image, err := s.lockImage(ctx, q, id)
		if err != nil {
			return err
		}
		if err := s.checkNotNamed(ctx, q, "image_id", id); err != nil {
			return err
		}
		if free, err = s.deleteReleases(ctx, q, "image_id", id); err != nil {
			return err
		}
		if err := s.removeInstances(ctx, q, image.ID); err != nil {
			return err
		}
		if _, err := remove(ctx, s, s.scanImage, query{"id = $1", []any{id[:]}}); err != nil {
			return err
		}
		return s.bury(ctx, q, &image)
	})
	if err != nil {
		return nil, fmt.Errorf("delete image: %w", err)
	}
	return free, nil
}

// DeleteRelease deletes a release. It returns the artifacts that nothing refers
// to any more, for DropArtifact. The error is a *ChannelError or wraps ErrNotFound.
func (s *Store) DeleteRelease(ctx context.Context, id wire.UUID) ([][32]byte, error) {
	var free [][32]byte
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if _, err := s.lockRelease(ctx, q, id); err != nil {
			return err
		}
		if err := s.checkNotNamed(ctx, q, "release_id", id); err != nil {
			return err
		}
		free, err = s.deleteReleases(ctx, q, "id", id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("delete release: %w", err)
	}
	return free, nil
}

// deleteReleases deletes the releases that have an ID in a column, and returns the
// artifacts that are free then. Locks on them make one of two concurrent deletions
// see the other. The error wraps ErrNotFound when there is no release of the ID.
func (s *Store) deleteReleases(ctx context.Context, q querier, column string, id wire.UUID) ([][32]byte, error) {
	hashes, err := collect(ctx, q, query{
		`SELECT firmware_sha256 FROM releases WHERE ` + column + ` = $1
		UNION SELECT kernel_sha256 FROM releases WHERE ` + column + ` = $1
		UNION SELECT initrd_sha256 FROM releases WHERE ` + column + ` = $1 AND initrd_sha256 IS NOT NULL`, []any{id[:]},
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
	n, err := remove(ctx, s, s.scanRelease, query{column + " = $1", []any{id[:]}})
	if err == nil && n == 0 && column == "id" {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return unused(ctx, q, hashes)
}
