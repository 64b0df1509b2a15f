package storetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func accessTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"tokens":          testTokens,
		"token orders":    testTokenOrders,
		"token refusals":  testTokenRefusals,
		"sessions":        testSessions,
		"login failures":  testLoginFailures,
		"login guessing":  testLoginGuessing,
		"secrets":         testSecrets,
		"secret of two":   testSecretOfTwo,
		"settings":        testSettings,
		"dead tokens":     testDeadTokens,
		"many origins":    testManyOrigins,
		"token last used": testTokenUse,
	}
}

// Token returns a token as no other is.
func Token(name string) store.Token {
	id := wire.NewUUID()
	return store.Token{ID: id, Name: name, Role: "admin", Hash: sha256.Sum256(id[:])}
}

func newToken(t *testing.T, s *store.Store, token store.Token) store.Token {
	t.Helper()
	token, err := s.CreateToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func testTokens(t *testing.T, d Database) {
	clock := NewClock(time.Second)
	s := d.Open(t, store.Options{Now: clock.Now})
	want := Token("ci")
	want.ExpiresAt = clock.Now().Add(time.Hour)
	want = newToken(t, s, want)
	byHash, err := s.TokenByHash(t.Context(), want.Hash)
	byID, idErr := s.TokenByID(t.Context(), want.ID)
	if err := errors.Join(err, idErr); err != nil || want.CreatedAt.IsZero() {
		t.Fatal(err)
	}
	if byHash != want || byID != want {
		t.Errorf("got %+v and %+v, want %+v", byHash, byID, want)
	}
	second := newToken(t, s, Token("ci")) // names need not differ
	page, err := s.ListTokens(t.Context(), store.TokenFilter{Limit: 1})
	if err != nil || !reflect.DeepEqual(page.Items, []store.Token{second}) {
		t.Fatalf("got %+v, %v", page, err)
	}
	if page, err = s.ListTokens(t.Context(), store.TokenFilter{Cursor: page.Next, Limit: 1}); err != nil || !reflect.DeepEqual(page.Items, []store.Token{want}) || page.Next != "" {
		t.Errorf("got %+v, %v", page, err)
	}
	if err := s.RevokeToken(t.Context(), want.ID); err != nil {
		t.Fatal(err)
	}
	revoked, err := s.TokenByHash(t.Context(), want.Hash)
	if err != nil || revoked.RevokedAt.IsZero() {
		t.Errorf("got %+v, %v", revoked, err)
	}
	if err := s.RevokeToken(t.Context(), want.ID); err != nil {
		t.Fatal(err)
	}
	if again, err := s.TokenByID(t.Context(), want.ID); err != nil || again != revoked {
		t.Errorf("revoked again: got %+v, %v, want %+v", again, err, revoked)
	}
}

func testTokenOrders(t *testing.T, d Database) {
	s := d.Open(t, store.Options{Now: NewClock(time.Second).Now})
	for _, name := range []string{"web", "Mail", "api"} {
		newToken(t, s, Token(name))
	}
	for _, tc := range []struct {
		filter store.TokenFilter
		want   []string
	}{
		{store.TokenFilter{}, []string{"api", "Mail", "web"}},
		{store.TokenFilter{Order: store.OldestFirst}, []string{"web", "Mail", "api"}},
		{store.TokenFilter{Order: store.NameAscending}, []string{"api", "Mail", "web"}},
		{store.TokenFilter{Order: store.NameDescending, Offset: 1, Limit: 1}, []string{"Mail"}},
		{store.TokenFilter{Offset: 2}, []string{"web"}},
	} {
		page, err := s.ListTokens(t.Context(), tc.filter)
		var got []string
		for _, token := range page.Items {
			got = append(got, token.Name)
		}
		if err != nil || !slices.Equal(got, tc.want) || tc.filter.Order != store.NewestFirst && page.Next != "" {
			t.Errorf("%+v: got %q, next %q, %v, want %q", tc.filter, got, page.Next, err, tc.want)
		}
	}
	if n, err := s.CountTokens(t.Context()); err != nil || n != 3 {
		t.Errorf("counted %d, %v", n, err)
	}
	if _, err := s.ListTokens(t.Context(), store.TokenFilter{Order: store.OldestFirst, Cursor: "x"}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v", err)
	}
}

func testTokenRefusals(t *testing.T, d Database) {
	s := d.Open(t)
	token := newToken(t, s, Token("ci"))
	sameHash, sameID, noID, noName, noRole := Token("a"), Token("a"), Token("a"), Token(""), Token("a")
	sameHash.Hash, sameID.ID, noID.ID, noRole.Role = token.Hash, token.ID, wire.UUID{}, ""
	for _, tc := range []struct {
		token store.Token
		want  error
	}{{sameHash, store.ErrExists}, {sameID, store.ErrExists}, {noID, store.ErrInvalid}, {noName, store.ErrInvalid}, {noRole, store.ErrInvalid}} {
		if _, err := s.CreateToken(t.Context(), tc.token); !errors.Is(err, tc.want) {
			t.Errorf("%+v: got %v, want %v", tc.token, err, tc.want)
		}
	}
	_, hashErr := s.TokenByHash(t.Context(), [32]byte{})
	_, idErr := s.TokenByID(t.Context(), wire.NewUUID())
	for _, err := range []error{hashErr, idErr, s.RevokeToken(t.Context(), wire.NewUUID()), s.UseToken(t.Context(), Token("x"))} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := s.ListTokens(t.Context(), store.TokenFilter{Cursor: "x", Limit: 1}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v", err)
	}
}

func testTokenUse(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	token := newToken(t, s, Token("ci"))
	start := clock.Now()
	for _, tc := range []struct{ wait, want time.Duration }{{0, 0}, {time.Second, 0}, {time.Minute, 61 * time.Second}} {
		clock.Advance(tc.wait)
		if err := s.UseToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		var err error
		if token, err = s.TokenByID(t.Context(), token.ID); err != nil || !token.LastUsedAt.Equal(start.Add(tc.want)) {
			t.Errorf("got %s, %v, want %s after %s", token.LastUsedAt, err, tc.want, start)
		}
	}
}

func testDeadTokens(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	revoked, expired, alive, forever := Token("revoked"), Token("expired"), Token("alive"), Token("forever")
	expired.ExpiresAt, alive.ExpiresAt = clock.Now().Add(time.Second), clock.Now().Add(time.Hour)
	for _, token := range []store.Token{revoked, expired, alive, forever} {
		newToken(t, s, token)
	}
	if err := s.RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := s.DeleteDeadTokens(t.Context(), clock.Now().Add(time.Minute)); n != 2 || err != nil {
		t.Errorf("deleted %d, %v, want 2", n, err)
	}
	for _, token := range []store.Token{alive, forever} {
		if _, err := s.TokenByID(t.Context(), token.ID); err != nil {
			t.Errorf("%s: %v", token.Name, err)
		}
	}
}

func testSessions(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	want, err := s.CreateSession(t.Context(), store.Session{Hash: [32]byte{1}, ExpiresAt: clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.SessionByHash(t.Context(), want.Hash); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := s.CreateSession(t.Context(), want); !errors.Is(err, store.ErrExists) {
		t.Errorf("same hash: got %v", err)
	}
	if _, err := s.CreateSession(t.Context(), store.Session{ExpiresAt: clock.Now()}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("expired: got %v", err)
	}
	gone := func(what string, hash [32]byte) {
		t.Helper()
		if _, err := s.SessionByHash(t.Context(), hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	gone("unknown", [32]byte{9})
	clock.Advance(time.Hour)
	gone("expired", want.Hash)
	for n := range 3 {
		if _, err := s.CreateSession(t.Context(), store.Session{Hash: [32]byte{byte(n)}, ExpiresAt: clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err) // the expired session of the same hash was forgotten
		}
	}
	if err := errors.Join(s.DeleteSession(t.Context(), [32]byte{1}), s.DeleteSession(t.Context(), [32]byte{1})); err != nil {
		t.Fatal(err)
	}
	gone("logged out", [32]byte{1})
	if _, err := s.SessionByHash(t.Context(), [32]byte{2}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone("all ended", [32]byte{2})
}

func testSecrets(t *testing.T, d Database) {
	s := d.Open(t)
	if got, found, err := s.Secret(t.Context(), "key"); got != nil || found || err != nil {
		t.Errorf("got %q, %t, %v", got, found, err)
	}
	for _, sealed := range []string{"first\x00\xFF", "second"} {
		if kept, err := s.PutSecretIfAbsent(t.Context(), "key", []byte(sealed)); err != nil || string(kept) != "first\x00\xFF" {
			t.Errorf("got %q, %v", kept, err)
		}
	}
	for _, tc := range []struct {
		name, old, sealed string
		want              error
	}{
		{"key", "second", "x", store.ErrChanged}, {"other", "x", "x", store.ErrNotFound}, {"key", "first\x00\xFF", "", store.ErrInvalid},
		{"key", "first\x00\xFF", "third", nil}, {"key", "first\x00\xFF", "fourth", store.ErrChanged},
	} {
		if err := s.ReplaceSecret(t.Context(), tc.name, []byte(tc.old), []byte(tc.sealed)); !errors.Is(err, tc.want) {
			t.Errorf("%+v: got %v", tc, err)
		}
	}
	if got, found, err := s.Secret(t.Context(), "key"); err != nil || !found || string(got) != "third" {
		t.Errorf("got %q, %t, %v", got, found, err)
	}
	for name, sealed := range map[string][]byte{"": {1}, "empty": nil, "large": make([]byte, store.MaxBytes+1)} {
		if _, err := s.PutSecretIfAbsent(t.Context(), name, sealed); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// Replicas that start together all use the key of one.
func testSecretOfTwo(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	kept := make([][]byte, 8)
	var wg sync.WaitGroup
	for n := range kept {
		wg.Go(func() {
			var err error
			if kept[n], err = stores[n%2].PutSecretIfAbsent(t.Context(), "key", []byte{byte(n)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := range kept {
		if !bytes.Equal(kept[n], kept[0]) {
			t.Errorf("%d keeps %x, 0 keeps %x", n, kept[n], kept[0])
		}
	}
}

func testSettings(t *testing.T, d Database) {
	s := d.Open(t)
	if _, err := s.Setting(t.Context(), "name"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"first", "second"} {
		if err := s.SetSetting(t.Context(), "name", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Setting(t.Context(), "name"); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := s.SetSetting(t.Context(), "name", nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("empty: got %v", err)
	}
}
