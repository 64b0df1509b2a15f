package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Token is an API token, of which the store knows the hash only. Whether it is
// good at some time is the caller's to check.
type Token struct {
	ID         wire.UUID
	Name, Role string
	Hash       [32]byte  // HMAC-SHA-256 of the secret, see access
	CreatedAt  time.Time // set by CreateToken
	ExpiresAt  time.Time // zero: never
	RevokedAt  time.Time // zero: not revoked
	LastUsedAt time.Time // zero: not used; see UseToken
}

// tokenColumns are what the MAC of a token covers: when it was last used is written
// too often, and nothing depends on it.
const tokenColumns = `id, name, role, hash, created_at, expires_at, revoked_at`

func (t *Token) table() table {
	return table{name: "tokens", columns: tokenColumns, summed: true, also: tokenAlso}
}

func (t *Token) values() []any {
	return []any{t.ID[:], t.Name, t.Role, t.Hash[:], micros(t.CreatedAt), micros(t.ExpiresAt), micros(t.RevokedAt)}
}

// tokenSelection is what scanToken reads.
const (
	tokenAlso      = `, last_used_at`
	tokenSelection = tokenColumns + `, mac` + tokenAlso
)

func (s *Store) scanToken(row scanner) (Token, error) {
	var t Token
	var mac []byte
	err := row.Scan(exactly(t.ID[:]), &t.Name, &t.Role, exactly(t.Hash[:]),
		instant{&t.CreatedAt}, instant{&t.ExpiresAt}, instant{&t.RevokedAt}, &mac, instant{&t.LastUsedAt})
	if err == nil {
		err = s.genuine(&t, mac)
	}
	return t, err
}

// CreateToken keeps a token and returns it as it is kept. The error wraps
// ErrInvalid or ErrExists.
func (s *Store) CreateToken(ctx context.Context, t Token) (Token, error) {
	if err := errors.Join(checkName("name", t.Name), checkName("role", t.Role)); err != nil || t.ID.IsZero() {
		return Token{}, fmt.Errorf("create token: %w", errors.Join(err, ErrInvalid))
	}
	t.CreatedAt, t.RevokedAt, t.LastUsedAt = s.clock(), time.Time{}, time.Time{}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		inserted, err := s.insert(ctx, q, &t)
		if err == nil && !inserted {
			return ErrExists
		}
		return err
	})
	if err != nil {
		return Token{}, fmt.Errorf("create token: %w", err)
	}
	return t, nil
}

// TokenByHash returns a token, revoked and expired ones too. The error wraps
// ErrNotFound.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (Token, error) {
	return s.token(ctx, query{`SELECT ` + tokenSelection + ` FROM tokens WHERE hash = $1`, []any{hash[:]}})
}

// TokenByID returns a token. The error wraps ErrNotFound.
func (s *Store) TokenByID(ctx context.Context, id wire.UUID) (Token, error) {
	return s.token(ctx, query{`SELECT ` + tokenSelection + ` FROM tokens WHERE id = $1`, []any{id[:]}})
}

func (s *Store) token(ctx context.Context, ask query) (Token, error) {
	var found []Token
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, ask, s.scanToken)
		return err
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Token{}, fmt.Errorf("token: %w", err)
	}
	return found[0], nil
}

// TokenFilter says which tokens to list. The zero value lists the newest.
type TokenFilter struct {
	Order  Order
	Cursor string // Next of the page before; with NewestFirst alone, and no offset
	Offset int64  // tokens before the page
	Limit  int    // of the page: DefaultPage when zero, MaxPage at most
}

// ListTokens returns a page of tokens. The error wraps ErrCursor.
func (s *Store) ListTokens(ctx context.Context, filter TokenFilter) (Page[Token], error) {
	var b builder
	b.add("SELECT " + tokenSelection + " FROM tokens WHERE TRUE")
	if err := b.cut(span{filter.Order, filter.Cursor, filter.Offset, filter.Limit}, "LOWER(name)"); err != nil {
		return Page[Token]{}, fmt.Errorf("list tokens: %w", err)
	}
	var found []Token
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, b.query(), s.scanToken)
		return err
	})
	if err != nil {
		return Page[Token]{}, fmt.Errorf("list tokens: %w", err)
	}
	page := pageOf(found, filter.Limit, func(t Token) position { return position{t.CreatedAt, t.ID} })
	if filter.Order != NewestFirst {
		page.Next = "" // a cursor is a place in the order of age
	}
	return page, nil
}

// CountTokens returns how many tokens there are, revoked and expired ones too.
func (s *Store) CountTokens(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, "SELECT COUNT(*) FROM tokens").Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count tokens: %w", err)
	}
	return n, nil
}

// RevokeToken ends a token now. One that was revoked keeps its time. The error
// wraps ErrNotFound.
func (s *Store) RevokeToken(ctx context.Context, id wire.UUID) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{`UPDATE tokens SET id = id WHERE id = $1 RETURNING ` + tokenSelection, []any{id[:]}}, s.scanToken)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrNotFound
		}
		if !found[0].RevokedAt.IsZero() {
			return nil
		}
		revoked := found[0]
		revoked.RevokedAt = s.clock()
		return s.update(ctx, q, &found[0], &revoked)
	})
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// tokenUseGrain is how exactly the last use of a token is kept, so that not
// every request writes.
const tokenUseGrain = time.Minute

// UseToken notes that a token was used now, to the minute. It writes nothing
// when t, as it was read, says so already.
func (s *Store) UseToken(ctx context.Context, t Token) error {
	now := s.clock()
	if now.Sub(t.LastUsedAt) < tokenUseGrain {
		return nil
	}
	return s.editOne(ctx, "token", query{
		`UPDATE tokens SET last_used_at = CASE WHEN last_used_at < $1 THEN $1 ELSE last_used_at END WHERE id = $2`,
		[]any{micros(now), t.ID[:]},
	})
}

// DeleteDeadTokens deletes the tokens that were revoked or had expired before
// the given time, and returns how many.
func (s *Store) DeleteDeadTokens(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := s.inTx(ctx, func(ctx context.Context, _ querier) (err error) {
		n, err = remove(ctx, s, s.scanToken, query{`(revoked_at <> 0 AND revoked_at < $1) OR (expires_at <> 0 AND expires_at < $1)`, []any{micros(before)}})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete tokens: %w", err)
	}
	return n, nil
}

// deleteMany runs a deletion from the table named, and returns how many rows
// are gone.
func (s *Store) deleteMany(ctx context.Context, table string, deletion query) (int64, error) {
	var n int64
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		done, err := q.ExecContext(ctx, deletion.text, deletion.args...)
		if err != nil {
			return err
		}
		n, err = done.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete %s: %w", table, err)
	}
	return n, nil
}
