package store

import (
	"context"
	"time"
)

// ExtendSession makes a session that has not ended end at another time. The error
// wraps ErrNotFound.
func (s *Store) ExtendSession(ctx context.Context, hash [32]byte, expiresAt time.Time) error {
	return s.editOne(ctx, "session", query{
		`UPDATE sessions SET expires_at = $1 WHERE hash = $2 AND expires_at > $3`,
		[]any{micros(expiresAt), hash[:], micros(s.clock())},
	})
}
