package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Lengths of a master password.
const (
	MinPassword = 15   // characters, of one that people choose
	MaxPassword = 1024 // bytes
)

// SecretPassword is the name under which the store keeps the password's hash.
const SecretPassword = "master-password"

// PasswordStore keeps the sealed hash of the password and counts wrong ones;
// *store.Store is one.
type PasswordStore interface {
	Secret(ctx context.Context, name string) (sealed []byte, found bool, err error)
	PutSecretIfAbsent(ctx context.Context, name string, sealed []byte) ([]byte, error)
	ReplaceSecret(ctx context.Context, name string, old, sealed []byte) error
	DeleteSessions(ctx context.Context) error
	LoginCounter
}

// Sealer seals under the key-encryption key; *keyring.KEK is one.
type Sealer interface {
	Seal(name string, secret []byte) []byte
	Open(name string, sealed []byte) ([]byte, error)
}

// Passwords keeps and checks the master password.
type Passwords struct {
	store  PasswordStore
	sealer Sealer
	params Params
	guard  *guard
	slots  chan struct{} // each takes Params.Memory
}

// parallelHashes bounds the memory that passwords take.
const parallelHashes = 2

// NewPasswords takes the costs of the hash and the clock, DefaultParams and
// time.Now outside of tests.
func NewPasswords(s PasswordStore, sealer Sealer, params Params, now func() time.Time) *Passwords {
	return &Passwords{s, sealer, params, newGuard(s, now), make(chan struct{}, parallelHashes)}
}

// Init makes the master password unless there is one, and returns it for the
// operator to read this once; empty when there was one already.
func (p *Passwords) Init(ctx context.Context) (string, error) {
	if _, found, err := p.store.Secret(ctx, SecretPassword); err != nil || found {
		return "", err
	}
	password, err := newPassword()
	if err != nil {
		return "", err
	}
	sealed, err := p.seal(ctx, password)
	if err != nil {
		return "", err
	}
	kept, err := p.store.PutSecretIfAbsent(ctx, SecretPassword, sealed)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(kept, sealed) {
		return "", nil // another replica was first and shows its own
	}
	return password, nil
}

// Given is a right password: which of those that there were over time.
type Given struct{ sealed []byte }

// Check checks a password that came from an address. The error wraps
// ErrWrongPassword, or is an *InvalidError or a *LockedError.
func (p *Passwords) Check(ctx context.Context, address, password string) (*Given, error) {
	sealed, err := p.check(ctx, address, password)
	if err != nil {
		return nil, err
	}
	return &Given{sealed}, nil
}

// check also returns the sealed hash that the password matches.
func (p *Passwords) check(ctx context.Context, address, password string) ([]byte, error) {
	if len(password) > MaxPassword { // not counted: it cannot be right, and costs nothing
		return nil, invalidf("a password can have at most %d bytes", MaxPassword)
	}
	if err := p.guard.begin(ctx, address); err != nil {
		return nil, err
	}
	sealed, found, err := p.store.Secret(ctx, SecretPassword)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNoPassword
	}
	encoded, err := p.sealer.Open(SecretPassword, sealed)
	if err != nil {
		return nil, err
	}
	hash, err := parsePasswordHash(encoded)
	if err != nil {
		return nil, err
	}
	if right, err := p.matches(ctx, hash, password); err != nil {
		return nil, err
	} else if !right {
		return nil, ErrWrongPassword
	}
	if err := p.guard.right(ctx, address); err != nil {
		return nil, err
	}
	if hash.params != p.params {
		return p.rehash(ctx, sealed, password)
	}
	return sealed, nil
}

// rehash keeps the hash of a right password at today's costs.
func (p *Passwords) rehash(ctx context.Context, old []byte, password string) ([]byte, error) {
	sealed, err := p.seal(ctx, password)
	if err != nil {
		return nil, err
	}
	err = p.store.ReplaceSecret(ctx, SecretPassword, old, sealed)
	if errors.Is(err, store.ErrChanged) {
		return old, nil // the next one who gives the password tries again
	}
	return sealed, err
}

// Change is a new password that is not in force yet.
type Change struct {
	store       PasswordStore
	old, sealed []byte
}

// Change checks a password and prepares its replacement by one that people
// chose. The error wraps ErrWrongPassword, or is an *InvalidError or a *LockedError.
func (p *Passwords) Change(ctx context.Context, address, password, next string) (*Change, error) {
	switch {
	case !utf8.ValidString(next) || utf8.RuneCountInString(next) < MinPassword:
		return nil, invalidf("a password needs at least %d characters", MinPassword)
	case len(next) > MaxPassword:
		return nil, invalidf("a password can have at most %d bytes", MaxPassword)
	}
	old, err := p.check(ctx, address, password)
	if err != nil {
		return nil, err
	}
	sealed, err := p.seal(ctx, next)
	if err != nil {
		return nil, err
	}
	return &Change{p.store, old, sealed}, nil
}

// Reset prepares the replacement of the master password, which nobody knows any
// more, by a new one, and returns that. The error wraps ErrNoPassword.
func (p *Passwords) Reset(ctx context.Context) (string, *Change, error) {
	old, found, err := p.store.Secret(ctx, SecretPassword)
	if err != nil {
		return "", nil, err
	}
	if !found {
		return "", nil, ErrNoPassword
	}
	password, err := newPassword()
	if err != nil {
		return "", nil, err
	}
	sealed, err := p.seal(ctx, password)
	return password, &Change{p.store, old, sealed}, err
}

// Apply puts the new password in force and ends all sessions. It is quick and
// meant for a transaction, which makes both happen or neither. The error wraps
// ErrChanged.
func (c *Change) Apply(ctx context.Context) error {
	err := c.store.ReplaceSecret(ctx, SecretPassword, c.old, c.sealed)
	if errors.Is(err, store.ErrChanged) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	return c.store.DeleteSessions(ctx)
}

func (p *Passwords) matches(ctx context.Context, hash passwordHash, password string) (right bool, err error) {
	err = p.inSlot(ctx, func() { right = hash.matches(password) })
	return right, err
}

// seal hashes a password and seals the hash, so that a stolen database alone is
// no place to guess at.
func (p *Passwords) seal(ctx context.Context, password string) (sealed []byte, err error) {
	err = p.inSlot(ctx, func() {
		sealed = p.sealer.Seal(SecretPassword, newPasswordHash(password, p.params).encoded())
	})
	return sealed, err
}

// inSlot waits until there is memory for a hash.
func (p *Passwords) inSlot(ctx context.Context, hash func()) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		hash()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}
