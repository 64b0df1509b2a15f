package access_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// endingStore ends all sessions as soon as one was found.
type endingStore struct{ *store.Store }

func (s endingStore) SessionByHash(ctx context.Context, hash [32]byte) (store.Session, error) {
	session, err := s.Store.SessionByHash(ctx, hash)
	return session, errors.Join(err, s.DeleteSessions(ctx))
}

func TestWordList(t *testing.T) {
	list, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for word := range strings.Lines(string(list)) {
		word = strings.TrimSuffix(word, "\n")
		if seen[word] || word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("word %q", word)
		}
		seen[word] = true
	}
	if len(seen) != 7772 {
		t.Errorf("%d words", len(seen))
	}
}

func TestFirstPassword(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	if words := strings.Split(password, "-"); len(words) != 6 {
		t.Errorf("password %q", password)
	}
	if again, err := w.passwords.Init(t.Context()); err != nil || again != "" {
		t.Errorf("second start: got %q, %v", again, err)
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", password); err != nil {
		t.Error(err)
	}
	if newWorld(t).setPassword(t) == password {
		t.Error("two services have the same password")
	}
}

// TestOneFirstPassword starts replicas at once: one shows its password, and it is
// the one that is good.
func TestOneFirstPassword(t *testing.T) {
	w := newWorld(t)
	shown := make(chan string, 8)
	var wg sync.WaitGroup
	for range cap(shown) {
		wg.Go(func() {
			password, err := w.replica().Init(t.Context())
			if err != nil {
				t.Error(err)
			}
			if password != "" {
				shown <- password
			}
		})
	}
	wg.Wait()
	if len(shown) != 1 {
		t.Fatalf("%d passwords were shown", len(shown))
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", <-shown); err != nil {
		t.Error(err)
	}
}

// TestStoredPassword looks at what the database has: nothing to guess at without
// the key-encryption key.
func TestStoredPassword(t *testing.T) {
	w := newWorld(t)
	w.setPassword(t)
	sealed, found, err := w.store.Secret(t.Context(), "master-password")
	if err != nil || !found || bytes.Contains(sealed, []byte("argon2")) {
		t.Fatalf("got %q, %v", sealed, err)
	}
	opened, err := w.kek.Open("master-password", sealed)
	if err != nil || !strings.HasPrefix(string(opened), "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("got %q, %v", opened, err)
	}
}

func TestWrongPasswords(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	for _, wrong := range []string{"", password[1:], password + " ", strings.ToUpper(password)} {
		w.clock.Advance(time.Hour)
		if _, err := w.passwords.Check(t.Context(), "192.0.2.1", wrong); !errors.Is(err, access.ErrWrongPassword) {
			t.Errorf("%q: got %v", wrong, err)
		}
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", strings.Repeat("a", access.MaxPassword+1)); !isInvalid(err) {
		t.Errorf("long: got %v", err)
	}
}

func TestDamagedHash(t *testing.T) {
	salt, sum := strings.Repeat("A", 22), strings.Repeat("A", 43)
	for name, tc := range map[string]struct {
		hash string
		want error
	}{
		"sound":           {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + sum, access.ErrWrongPassword},
		"empty":           {" ", nil},
		"other algorithm": {"$argon2i$v=19$m=8,t=1,p=1$" + salt + "$" + sum, nil},
		"other version":   {"$argon2id$v=16$m=8,t=1,p=1$" + salt + "$" + sum, nil},
		"no passes":       {"$argon2id$v=19$m=8,t=0,p=1$" + salt + "$" + sum, nil},
		"no threads":      {"$argon2id$v=19$m=8,t=1,p=0$" + salt + "$" + sum, nil},
		"little memory":   {"$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + sum, nil},
		"all memory":      {"$argon2id$v=19$m=4294967295,t=1,p=1$" + salt + "$" + sum, nil},
		"all time":        {"$argon2id$v=19$m=8,t=4294967295,p=1$" + salt + "$" + sum, nil},
		"short hash":      {"$argon2id$v=19$m=8,t=1,p=1$" + salt + "$" + sum[:22], nil},
		"short salt":      {"$argon2id$v=19$m=8,t=1,p=1$" + salt[1:] + "$" + sum, nil},
		"no hash":         {"$argon2id$v=19$m=8,t=1,p=1$" + salt, nil},
	} {
		w := newWorld(t)
		if _, err := w.store.PutSecretIfAbsent(t.Context(), "master-password", w.kek.Seal("master-password", []byte(tc.hash))); err != nil {
			t.Fatal(err)
		}
		_, err := w.passwords.Check(t.Context(), "192.0.2.1", "guess")
		if err == nil || errors.Is(err, access.ErrWrongPassword) != (tc.want != nil) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	password, session := w.setPassword(t), w.newSession(t)
	const next = "five plain words of mine"
	change, err := w.passwords.Change(t.Context(), "192.0.2.1", password, next)
	if err != nil {
		t.Fatal(err)
	}
	late, err := w.passwords.Change(t.Context(), "192.0.2.1", password, next+"!")
	if err != nil {
		t.Fatal(err)
	}
	if w.sessionEnded(t, session.Secret) {
		t.Error("a change that is not in force ended a session")
	}
	if err := change.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.sessionEnded(t, session.Secret) {
		t.Error("a session outlives the password")
	}
	if err := late.Apply(t.Context()); !errors.Is(err, access.ErrChanged) {
		t.Errorf("a change of the password before the last: got %v", err)
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", password); !errors.Is(err, access.ErrWrongPassword) {
		t.Errorf("old password: got %v", err)
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", next); err != nil {
		t.Errorf("new password: %v", err)
	}
}

// TestResetPassword replaces a password that nobody knows any more.
func TestResetPassword(t *testing.T) {
	w := newWorld(t)
	if _, _, err := w.passwords.Reset(t.Context()); !errors.Is(err, access.ErrNoPassword) {
		t.Errorf("where none was ever set: got %v", err)
	}
	old, session := w.setPassword(t), w.newSession(t)
	next, change, err := w.passwords.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", next); !errors.Is(err, access.ErrWrongPassword) {
		t.Errorf("the new password before it is in force: got %v", err)
	}
	if err := change.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.sessionEnded(t, session.Secret) {
		t.Error("a session outlives the password")
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", next); err != nil {
		t.Errorf("new password: %v", err)
	}
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", old); !errors.Is(err, access.ErrWrongPassword) {
		t.Errorf("old password: got %v", err)
	}
}

func TestPasswordsNotTaken(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	for _, next := range []string{"", strings.Repeat("ä", access.MinPassword-1), strings.Repeat("a", access.MaxPassword+1), strings.Repeat("\xff", 20)} {
		if _, err := w.passwords.Change(t.Context(), "192.0.2.1", password, next); !isInvalid(err) {
			t.Errorf("%.20q: got %v", next, err)
		}
	}
	if _, err := w.passwords.Change(t.Context(), "192.0.2.1", "wrong", strings.Repeat("a", access.MinPassword)); !errors.Is(err, access.ErrWrongPassword) {
		t.Errorf("wrong password: got %v", err)
	}
}

// TestRehash logs in after the costs were raised.
func TestRehash(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	dearer := access.NewPasswords(w.store, w.kek, access.Params{Time: 2, Memory: 16, Threads: 1}, w.clock.Now)
	costs := func() string {
		sealed, _, err := w.store.Secret(t.Context(), "master-password")
		if err != nil {
			t.Fatal(err)
		}
		opened, err := w.kek.Open("master-password", sealed)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(opened), "$")[3]
	}
	if _, err := dearer.Check(t.Context(), "192.0.2.1", "wrong"); !errors.Is(err, access.ErrWrongPassword) || costs() != "m=8,t=1,p=1" {
		t.Errorf("wrong password: got %v, %s", err, costs())
	}
	if _, err := dearer.Check(t.Context(), "192.0.2.1", password); err != nil || costs() != "m=16,t=2,p=1" {
		t.Errorf("got %v, %s", err, costs())
	}
	if _, err := dearer.Check(t.Context(), "192.0.2.1", password); err != nil {
		t.Error(err)
	}
}

// lateStore finds that another replica has replaced the password's hash.
type lateStore struct{ *store.Store }

func (lateStore) ReplaceSecret(context.Context, string, []byte, []byte) error {
	return store.ErrChanged
}

// TestRehashOfTwo logs in at two replicas whose costs were raised: the one that
// comes second keeps what it has read.
func TestRehashOfTwo(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	dearer := access.NewPasswords(lateStore{w.store}, w.kek, access.Params{Time: 2, Memory: 16, Threads: 1}, w.clock.Now)
	if _, err := dearer.Check(t.Context(), "192.0.2.1", password); err != nil {
		t.Error(err)
	}
}

// TestNoPassword checks one before there is any.
func TestNoPassword(t *testing.T) {
	w := newWorld(t)
	if _, err := w.passwords.Check(t.Context(), "192.0.2.1", ""); !errors.Is(err, access.ErrNoPassword) {
		t.Errorf("got %v", err)
	}
}

// watchedSealer counts the hashes that are computed, each of which opens the
// stored one first, and how many at a time.
type watchedSealer struct {
	access.Sealer
	opened atomic.Int64
}

func (s *watchedSealer) Open(name string, sealed []byte) ([]byte, error) {
	s.opened.Add(1)
	return s.Sealer.Open(name, sealed)
}
