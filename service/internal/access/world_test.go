package access_test

import (
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// world is everything of this package on a real store, with a clock.
type world struct {
	clock     *storetest.Clock
	store     *store.Store
	kek       *keyring.KEK
	tokens    *access.Tokens
	sessions  *access.Sessions
	passwords *access.Passwords
	password  string // set by setPassword
}

// cheap makes password hashes that cost next to nothing.
func cheap() access.Params { return access.Params{Time: 1, Memory: 8, Threads: 1} }

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := storetest.NewClock(0)
	s := storetest.SQLite(t).Open(t, store.Options{Now: clock.Now})
	kek, err := keyring.NewKEK(make([]byte, keyring.KEKSize))
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		clock: clock, store: s, kek: kek,
		tokens: access.NewTokens(s, lookupKey(), clock.Now), sessions: access.NewSessions(s, lookupKey(), clock.Now),
		passwords: access.NewPasswords(s, kek, cheap(), clock.Now),
	}
}

// lookupKey is the key of tokens and sessions.
func lookupKey() []byte { return []byte("key of these tests' own") }

// replica is another process with the same database.
func (w *world) replica() *access.Passwords {
	return access.NewPasswords(w.store, w.kek, cheap(), w.clock.Now)
}

// setPassword makes the first password.
func (w *world) setPassword(t *testing.T) string {
	t.Helper()
	password, err := w.passwords.Init(t.Context())
	if err != nil || password == "" {
		t.Fatalf("got %q, %v", password, err)
	}
	w.password = password
	return password
}

// given gives the first password.
func (w *world) given(t *testing.T) *access.Given {
	t.Helper()
	if w.password == "" {
		w.setPassword(t)
	}
	given, err := w.passwords.Check(t.Context(), "203.0.113.200", w.password)
	if err != nil {
		t.Fatal(err)
	}
	return given
}

const day = 24 * time.Hour

func isInvalid(err error) bool {
	var invalid *access.InvalidError
	return errors.As(err, &invalid)
}
