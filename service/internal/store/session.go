package store

import (
	"context"
	"fmt"
	"time"
)

// Session is a login of the web page, of which the store knows the hash only.
type Session struct {
	Hash      [32]byte  // SHA-256 of what the browser keeps
	CreatedAt time.Time // set by CreateSession
	ExpiresAt time.Time
}

// CreateSession keeps a session, and forgets those that have expired. The error
// wraps ErrInvalid for one that is expired, or ErrExists.
func (s *Store) CreateSession(ctx context.Context, session Session) (Session, error) {
	session.CreatedAt = s.clock()
	if !session.ExpiresAt.After(session.CreatedAt) {
		return Session{}, fmt.Errorf("create session: %w", invalidf("it has expired"))
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= $1`, micros(session.CreatedAt)); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO sessions (hash, created_at, expires_at) VALUES ($1, $2, $3)`,
			session.Hash[:], micros(session.CreatedAt), micros(session.ExpiresAt))
		if isUnique(err) {
			return ErrExists
		}
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("create session: %w", err)
	}
	return session, nil
}

// SessionByHash returns a session that has not expired. The error wraps
// ErrNotFound.
func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (Session, error) {
	var found []Session
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, query{
			`SELECT hash, created_at, expires_at FROM sessions WHERE hash = $1 AND expires_at > $2`, []any{hash[:], micros(s.clock())},
		}, func(row scanner) (Session, error) {
			var found Session
			err := row.Scan(exactly(found.Hash[:]), instant{&found.CreatedAt}, instant{&found.ExpiresAt})
			return found, err
		})
		return err
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Session{}, fmt.Errorf("session: %w", err)
	}
	return found[0], nil
}

// DeleteSession ends a session. It is no error when there is none.
func (s *Store) DeleteSession(ctx context.Context, hash [32]byte) error {
	_, err := s.deleteMany(ctx, "session", query{`DELETE FROM sessions WHERE hash = $1`, []any{hash[:]}})
	return err
}

// DeleteSessions ends all sessions, as after a change of the password.
func (s *Store) DeleteSessions(ctx context.Context) error {
	_, err := s.deleteMany(ctx, "sessions", query{text: `DELETE FROM sessions`})
	return err
}
