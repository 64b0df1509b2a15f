package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// SetReleaseEnabled lets the launches of a release have their keys, or no
// longer. The error wraps ErrNotFound.
func (s *Store) SetReleaseEnabled(ctx context.Context, id wire.UUID, enabled bool) error {
	return s.changeRelease(ctx, id, func(r *Release) error {
		r.Enabled = enabled
		return nil
	})
}

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

// ApproveRelease lets a proposed release into force, if its content still has the
// given hash. The error wraps ErrNotFound, ErrChanged, or ErrExists when it is in
// force already.
func (s *Store) ApproveRelease(ctx context.Context, id wire.UUID, content [32]byte) error {
	return s.changeRelease(ctx, id, func(r *Release) error {
		switch {
		case !r.Proposed():
			return ErrExists
		case r.ContentHash() != content:
			return ErrChanged
		}
		r.ApprovedAt = s.clock()
		return nil
	})
}

// changeRelease changes a release that was read, and checked, under a lock. The
// error is change's, or wraps ErrNotFound.
func (s *Store) changeRelease(ctx context.Context, id wire.UUID, change func(*Release) error) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{`UPDATE releases SET id = id WHERE id = $1 RETURNING ` + releaseColumns + `, mac`, []any{id[:]}}, s.scanRelease)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrNotFound
		}
		changed := found[0]
		if err := change(&changed); err != nil {
			return err
		}
		return s.update(ctx, q, &found[0], &changed)
	})
	if err != nil {
		return fmt.Errorf("change release: %w", err)
	}
	return nil
}
