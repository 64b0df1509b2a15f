package store

import (
	"context"
	"fmt"
	"time"
)

// Session is a login of the web page, of which the store knows the hash only.
type Session struct {
	Hash      [32]byte  // HMAC-SHA-256 of what the browser keeps, see access
	CreatedAt time.Time // set by CreateSession
	ExpiresAt time.Time
}

const sessionColumns = `hash, created_at, expires_at`

// table leaves sessions out of the sum of all rows: each use changes them.
func (s *Session) table() table {
	return table{name: "sessions", columns: sessionColumns, summed: false}
}

func (s *Session) values() []any {
	return []any{s.Hash[:], micros(s.CreatedAt), micros(s.ExpiresAt)}
}

func (s *Store) scanSession(row scanner) (Session, error) {
	var found Session
	var mac []byte
	err := row.Scan(exactly(found.Hash[:]), instant{&found.CreatedAt}, instant{&found.ExpiresAt}, &mac)
	if err == nil {
		err = s.genuine(&found, mac)
	}
	return found, err
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
		inserted, err := s.insert(ctx, q, &session)
		if err == nil && !inserted {
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
	return s.session(ctx, query{
		`SELECT ` + sessionColumns + `, mac FROM sessions WHERE hash = $1 AND expires_at > $2`, []any{hash[:], micros(s.clock())},
	})
}

func (s *Store) session(ctx context.Context, ask query) (Session, error) {
	var found []Session
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, ask, s.scanSession)
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

// ExtendSession makes a session that has not ended end at another time. The error
// wraps ErrNotFound.
func (s *Store) ExtendSession(ctx context.Context, hash [32]byte, expiresAt time.Time) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		old, err := s.session(ctx, query{
			`UPDATE sessions SET hash = hash WHERE hash = $1 AND expires_at > $2 RETURNING ` + sessionColumns + `, mac`,
			[]any{hash[:], micros(s.clock())},
		})
		if err != nil {
			return err
		}
		extended := old
		extended.ExpiresAt = expiresAt
		return s.update(ctx, q, &old, &extended)
	})
	if err != nil {
		return fmt.Errorf("extend session: %w", err)
	}
	return nil
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
