package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Lifetimes of a session.
const (
	SessionLifetime = 12 * time.Hour   // since the password was given
	SessionIdle     = 30 * time.Minute // since the last use
	sessionGrain    = time.Minute      // how exactly the last use is kept
)

// SessionStore keeps sessions; *store.Store is one.
type SessionStore interface {
	CreateSession(ctx context.Context, session store.Session) (store.Session, error)

	// SessionByHash returns a session that has not expired.
	SessionByHash(ctx context.Context, hash [32]byte) (store.Session, error)

	DeleteSession(ctx context.Context, hash [32]byte) error

	// ExtendSession makes a session end later. The error wraps
	// store.ErrNotFound when it has ended meanwhile.
	ExtendSession(ctx context.Context, hash [32]byte, expiresAt time.Time) error

	// LockSecret returns a secret and, in the transaction of ctx, keeps others from
	// changing it.
	LockSecret(ctx context.Context, name string) (sealed []byte, err error)
}

// Sessions makes and checks sessions. The secret of a session is the time at
// which the password was given, in microseconds since 1970, and random bytes;
// the store knows its hash only, so the time cannot be changed either.
type Sessions struct {
	store SessionStore
	key   lookupKey
	now   func() time.Time
}

// NewSessions takes the key that secrets are hashed under, and the clock, time.Now
// outside of tests.
func NewSessions(s SessionStore, key []byte, now func() time.Time) *Sessions {
	return &Sessions{s, key, now}
}

// Session is a new session with its secret, which is kept nowhere.
type Session struct {
	Secret    string
	ID        string
	ExpiresAt time.Time // at the latest
}

// Start makes a session for someone who has just given the password. Sessions
// are never renewed without it. It is called in a transaction of the store, which
// keeps the password from being changed before the session is there to be ended with
// all others. The error wraps ErrWrongPassword when it was changed already.
func (s *Sessions) Start(ctx context.Context, given *Given) (Session, error) {
	sealed, err := s.store.LockSecret(ctx, SecretPassword)
	if err != nil {
		return Session{}, err
	}
	if !bytes.Equal(sealed, given.sealed) {
		return Session{}, fmt.Errorf("%w: it was changed in the meantime", ErrWrongPassword)
	}
	login := s.now()
	secret := newSessionSecret(login)
	hash := s.key.hash(secret)
	if _, err := s.store.CreateSession(ctx, store.Session{Hash: hash, ExpiresAt: s.expiry(login)}); err != nil {
		return Session{}, err
	}
	return Session{Secret: secret, ID: sessionID(hash), ExpiresAt: login.Add(SessionLifetime)}, nil
}

// expiry is when a session ends that is used now.
func (s *Sessions) expiry(login time.Time) time.Time {
	idle, latest := s.now().Add(SessionIdle), login.Add(SessionLifetime)
	if idle.Before(latest) {
		return idle
	}
	return latest
}

// Authenticate returns whose session a secret is and keeps it from being idle.
// The error wraps ErrUnauthenticated.
func (s *Sessions) Authenticate(ctx context.Context, secret string) (Principal, error) {
	session, login, err := s.find(ctx, secret)
	if err != nil {
		return Principal{}, err
	}
	if expiry := s.expiry(login); expiry.Sub(session.ExpiresAt) >= sessionGrain {
		err := s.store.ExtendSession(ctx, session.Hash, expiry)
		if errors.Is(err, store.ErrNotFound) {
			return Principal{}, fmt.Errorf("%w: session was ended", ErrUnauthenticated)
		}
		if err != nil {
			return Principal{}, err
		}
	}
	return Principal{Session: true, ID: sessionID(session.Hash), Role: wire.RoleAdmin}, nil
}

func (s *Sessions) find(ctx context.Context, secret string) (session store.Session, login time.Time, err error) {
	login, ok := parseSessionSecret(secret)
	if !ok {
		return session, login, fmt.Errorf("%w: not a session", ErrUnauthenticated)
	}
	session, err = s.store.SessionByHash(ctx, s.key.hash(secret))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return session, login, fmt.Errorf("%w: unknown or expired session", ErrUnauthenticated)
	case err != nil:
		return session, login, err
	}
	return session, login, nil
}

// End ends a session. It is no error when there is none.
func (s *Sessions) End(ctx context.Context, secret string) error {
	if _, ok := parseSessionSecret(secret); !ok {
		return nil
	}
	return s.store.DeleteSession(ctx, s.key.hash(secret))
}

// loginSize is the size in bytes of the time in a session's secret.
const loginSize = 8

func newSessionSecret(login time.Time) string {
	at := binary.BigEndian.AppendUint64(nil, uint64(login.UnixMicro()))
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(at) + newSecret("")
}

// parseSessionSecret returns when the password was given, and whether the secret has
// the form of a session's.
func parseSessionSecret(secret string) (login time.Time, ok bool) {
	encoded, found := strings.CutPrefix(secret, sessionPrefix)
	digits := base64.RawURLEncoding.EncodedLen(loginSize)
	if !found || len(encoded) < digits {
		return login, false
	}
	at, err := base64.RawURLEncoding.DecodeString(encoded[:digits])
	if err != nil || !isSecret("", encoded[digits:]) {
		return login, false
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(at))), true
}

// sessionID names a session by the beginning of its hash.
func sessionID(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:8]) }
