package access_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func (w *world) newToken(t *testing.T, role wire.Role, life time.Duration) (store.Token, string) {
	t.Helper()
	token, secret, err := w.tokens.Create(t.Context(), wire.TokenRequest{Name: "ci", Role: role, ExpiresIn: int64(life / time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	return token, secret
}

func TestTokenSecret(t *testing.T) {
	w := newWorld(t)
	token, secret := w.newToken(t, wire.RoleRegister, time.Hour)
	encoded, ok := strings.CutPrefix(secret, "snpg_")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) != 32 {
		t.Errorf("secret %q", secret)
	}
	if _, other := w.newToken(t, wire.RoleRead, time.Hour); other == secret {
		t.Error("two tokens are the same")
	}
	p, err := w.tokens.Authenticate(t.Context(), secret)
	if err != nil || p.ID != token.ID.String() || p.Name != "ci" || p.Role != wire.RoleRegister || p.Session {
		t.Errorf("got %+v, %v", p, err)
	}
	if want := "token " + p.ID + " (ci)"; p.Actor() != want {
		t.Errorf("actor %q, want %q", p.Actor(), want)
	}
}

func TestTokenRequests(t *testing.T) {
	w := newWorld(t)
	year := int64(access.MaxTokenLifetime / time.Second)
	for name, tc := range map[string]struct {
		request wire.TokenRequest
		ok      bool
	}{
		"shortest":     {wire.TokenRequest{Name: "a", Role: wire.RoleRead, ExpiresIn: 1}, true},
		"longest":      {wire.TokenRequest{Name: "a", Role: wire.RoleAdmin, ExpiresIn: year}, true},
		"no expiry":    {wire.TokenRequest{Name: "a", Role: wire.RoleRead}, false},
		"expired":      {wire.TokenRequest{Name: "a", Role: wire.RoleRead, ExpiresIn: -1}, false},
		"too long":     {wire.TokenRequest{Name: "a", Role: wire.RoleRead, ExpiresIn: year + 1}, false},
		"overflow":     {wire.TokenRequest{Name: "a", Role: wire.RoleRead, ExpiresIn: 1<<63 - 1}, false},
		"no role":      {wire.TokenRequest{Name: "a", ExpiresIn: 1}, false},
		"unknown role": {wire.TokenRequest{Name: "a", Role: "root", ExpiresIn: 1}, false},
	} {
		_, secret, err := w.tokens.Create(t.Context(), tc.request)
		if tc.ok && err != nil || !tc.ok && (!isInvalid(err) || secret != "") {
			t.Errorf("%s: got %q, %v", name, secret, err)
		}
	}
}

// TestTokenRefused has one case for each way in which a secret is not good.
func TestTokenRefused(t *testing.T) {
	w := newWorld(t)
	revoked, revokedSecret := w.newToken(t, wire.RoleAdmin, time.Hour)
	_, expiring := w.newToken(t, wire.RoleAdmin, time.Minute)
	_, good := w.newToken(t, wire.RoleAdmin, time.Hour)
	for _, secret := range []string{revokedSecret, expiring, good} {
		if _, err := w.tokens.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.store.RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	for name, tc := range map[string]struct{ secret, want string }{
		"revoked":            {revokedSecret, "revoked"},
		"expired":            {expiring, "expired"},
		"unknown":            {"snpg_" + strings.Repeat("A", 43), "unknown"},
		"changed":            {good[:len(good)-2] + "AA", "unknown"},
		"padded":             {good + "=", "not a token"},
		"short":              {good[:len(good)-1], "not a token"},
		"other prefix":       {"snps_" + good[5:], "not a token"},
		"other form of bits": {good[:len(good)-1] + "_", "not a token"}, // the last digit has two bits that count for nothing
		"empty":              {"", "not a token"},
	} {
		p, err := w.tokens.Authenticate(t.Context(), tc.secret)
		if !errors.Is(err, access.ErrUnauthenticated) || !strings.Contains(err.Error(), tc.want) || p.Role != "" {
			t.Errorf("%s: got %+v, %v; want %q", name, p, err, tc.want)
		}
	}
}

// TestTokenUse looks at the time of the last use, which is kept to the minute.
func TestTokenUse(t *testing.T) {
	w := newWorld(t)
	token, secret := w.newToken(t, wire.RoleRead, day)
	used := func() time.Time {
		if _, err := w.tokens.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		stored, err := w.store.TokenByID(t.Context(), token.ID)
		if err != nil {
			t.Fatal(err)
		}
		return stored.LastUsedAt
	}
	first := used()
	w.clock.Advance(59 * time.Second)
	if at := used(); !at.Equal(first) || first.IsZero() {
		t.Errorf("used at %s, written again at %s", first, at)
	}
	w.clock.Advance(time.Second)
	if at := used(); !at.Equal(first.Add(time.Minute)) {
		t.Errorf("after a minute: %s", at)
	}
}

func TestRoles(t *testing.T) {
	roles := []wire.Role{wire.RoleRead, wire.RoleRegister, wire.RoleAdmin}
	for has := range roles {
		for needs := range roles {
			p := access.Principal{Role: roles[has]}
			if got, want := p.May(roles[needs]), has >= needs; got != want {
				t.Errorf("%s may %s: %t", roles[has], roles[needs], got)
			}
		}
		for _, unknown := range []wire.Role{"", "root"} {
			if (access.Principal{Role: roles[has]}).May(unknown) || (access.Principal{Role: unknown}).May(roles[has]) {
				t.Errorf("%s and %q", roles[has], unknown)
			}
		}
	}
}
