package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// UpdateReleasePolicy replaces the policy of a release, which may be empty, if it
// still has the given revision, and returns the new one. The error wraps ErrInvalid,
// ErrNotFound or ErrChanged.
func (s *Store) UpdateReleasePolicy(ctx context.Context, id wire.UUID, policy []byte, revision int64) (int64, error) {
	if err := checkAtMost("policy", policy); err != nil {
		return 0, fmt.Errorf("update policy: %w", err)
	}
	err := s.changeRelease(ctx, id, func(r *Release) error {
		if r.PolicyRevision != revision {
			return ErrChanged
		}
		r.Policy, r.PolicyRevision = policy, revision+1
		return nil
	})
	return revision + 1, err
}

// changeRelease changes a release that was read, and checked, under a lock. The
// error is change's, or wraps ErrNotFound.
func (s *Store) changeRelease(ctx context.Context, id wire.UUID, change func(*Release) error) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		old, err := s.lockRelease(ctx, q, id)
		if err != nil {
			return err
		}
		changed := old
		if err := change(&changed); err != nil {
			return err
		}
		return s.update(ctx, q, &old, &changed)
	})
	if err != nil {
		return fmt.Errorf("change release: %w", err)
	}
	return nil
}

// lockRelease reads a release, and checks it, under a lock. The error wraps ErrNotFound.
func (s *Store) lockRelease(ctx context.Context, q querier, id wire.UUID) (Release, error) {
	found, err := collect(ctx, q, query{`UPDATE releases SET id = id WHERE id = $1 RETURNING ` + releaseColumns + `, mac`, []any{id[:]}}, s.scanRelease)
	if err != nil {
		return Release{}, err
	}
	if len(found) == 0 {
		return Release{}, ErrNotFound
	}
	return found[0], nil
}
