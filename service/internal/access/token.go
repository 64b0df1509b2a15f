package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// MaxTokenLifetime is the longest time that a token may be good for.
const MaxTokenLifetime = 365 * 24 * time.Hour

// Tokens makes and checks API tokens.
type Tokens struct {
	store *store.Store
	key   lookupKey
	now   func() time.Time
}

// NewTokens takes the key that secrets are hashed under, and the clock, time.Now
// outside of tests.
func NewTokens(s *store.Store, key []byte, now func() time.Time) *Tokens { return &Tokens{s, key, now} }

// Create makes a token. Its secret is returned this once and kept nowhere. The
// error is an *InvalidError.
func (t *Tokens) Create(ctx context.Context, r wire.TokenRequest) (store.Token, string, error) {
	if rank(r.Role) < 0 {
		return store.Token{}, "", invalidf("role %.20q: want read, register, approve or admin", r.Role)
	}
	const longest = int64(MaxTokenLifetime / time.Second)
	if r.ExpiresIn < 1 || r.ExpiresIn > longest {
		return store.Token{}, "", invalidf("expires_in is %d: want 1 to %d seconds", r.ExpiresIn, longest)
	}
	secret := newSecret(tokenPrefix)
	token, err := t.store.CreateToken(ctx, store.Token{
		ID: wire.NewUUID(), Name: r.Name, Role: string(r.Role), Hash: t.key.hash(secret),
		ExpiresAt: t.now().Add(time.Duration(r.ExpiresIn) * time.Second),
	})
	if err != nil {
		return store.Token{}, "", err
	}
	return token, secret, nil
}

// Authenticate returns whose token a secret is, and notes to the minute that it
// was used. The error wraps ErrUnauthenticated.
func (t *Tokens) Authenticate(ctx context.Context, secret string) (Principal, error) {
	if !isSecret(tokenPrefix, secret) {
		return Principal{}, fmt.Errorf("%w: not a token", ErrUnauthenticated)
	}
	token, err := t.store.TokenByHash(ctx, t.key.hash(secret))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Principal{}, fmt.Errorf("%w: unknown token", ErrUnauthenticated)
	case err != nil:
		return Principal{}, err
	case !token.RevokedAt.IsZero():
		return Principal{}, fmt.Errorf("%w: %w: %s", ErrUnauthenticated, ErrTokenRevoked, token.ID)
	case !t.now().Before(token.ExpiresAt):
		return Principal{}, fmt.Errorf("%w: %w: %s", ErrUnauthenticated, ErrTokenExpired, token.ID)
	}
	if err := t.store.UseToken(ctx, token); err != nil {
		return Principal{}, err
	}
	return Principal{ID: token.ID.String(), Name: token.Name, Role: wire.Role(token.Role)}, nil
}
