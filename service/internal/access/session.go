package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
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
}

// Sessions makes and checks sessions. The secret of a session is the time at
// which the password was given, in microseconds since 1970, and random bytes;
// the store knows its hash only, so the time cannot be changed either.
type Sessions struct {
	store SessionStore
	now   func() time.Time
}

// NewSessions takes the clock, time.Now outside of tests.
func NewSessions(s SessionStore, now func() time.Time) *Sessions { return &Sessions{s, now} }

// Session is a new session with its secret, which is kept nowhere.
type Session struct {
	Secret    string
	ID        string
	ExpiresAt time.Time // at the latest
}

// Start makes a session for someone who has just given the password. Sessions
// are never renewed without it.
func (s *Sessions) Start(ctx context.Context) (Session, error) {
	login := s.now()
	secret, hash := newSessionSecret(login)
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
	login, hash, ok := parseSessionSecret(secret)
	if !ok {
		return session, login, fmt.Errorf("%w: not a session", ErrUnauthenticated)
	}
	session, err = s.store.SessionByHash(ctx, hash)
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
	_, hash, ok := parseSessionSecret(secret)
	if !ok {
		return nil
	}
	return s.store.DeleteSession(ctx, hash)
}

// loginSize is the size in bytes of the time in a session's secret.
const loginSize = 8

func newSessionSecret(login time.Time) (secret string, hash [sha256.Size]byte) {
	at := binary.BigEndian.AppendUint64(nil, uint64(login.UnixMicro()))
	random, _ := newSecret("")
	secret = sessionPrefix + base64.RawURLEncoding.EncodeToString(at) + random
	return secret, sha256.Sum256([]byte(secret))
}

// parseSessionSecret returns when the password was given and the hash to look
// the session up by, and whether the secret has the form of one.
func parseSessionSecret(secret string) (login time.Time, hash [sha256.Size]byte, ok bool) {
	encoded, found := strings.CutPrefix(secret, sessionPrefix)
	digits := base64.RawURLEncoding.EncodedLen(loginSize)
	if !found || len(encoded) < digits {
		return login, hash, false
	}
	at, err := base64.RawURLEncoding.DecodeString(encoded[:digits])
	if _, ok := hashSecret("", encoded[digits:]); err != nil || !ok {
		return login, hash, false
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(at))), sha256.Sum256([]byte(secret)), true
}

// sessionID names a session by the beginning of its hash.
func sessionID(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:8]) }
