package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// SetReleaseEnabled lets the launches of a release have their keys, or no
// longer. The error wraps ErrNotFound.
func (s *Store) SetReleaseEnabled(ctx context.Context, id wire.UUID, enabled bool) error {
	return s.editOne(ctx, "release", query{`UPDATE releases SET enabled = $1 WHERE id = $2`, []any{enabled, id[:]}})
}

// UpdateReleasePolicy replaces the policy of a release if it still has the given
// revision, and returns the new one. The error wraps ErrInvalid, ErrNotFound or
// ErrChanged.
func (s *Store) UpdateReleasePolicy(ctx context.Context, id wire.UUID, policy []byte, revision int64) (int64, error) {
	if err := checkBytes("policy", policy); err != nil {
		return 0, fmt.Errorf("update policy: %w", err)
	}
	var now int64
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		err := q.QueryRowContext(ctx, `UPDATE releases SET policy = $1, policy_revision = policy_revision + 1
			WHERE id = $2 AND policy_revision = $3 RETURNING policy_revision`, policy, id[:], revision).Scan(&now)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var there int64
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM releases WHERE id = $1`, id[:]).Scan(&there); err != nil {
			return err
		}
		if there == 0 {
			return ErrNotFound
		}
		return ErrChanged
	})
	if err != nil {
		return 0, fmt.Errorf("update policy: %w", err)
	}
	return now, nil
}
