package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// Names under which the keys are kept.
const (
	nameIngestion = "ingestion-key"
	nameIdentity  = "identity-key"
	nameNonce     = "nonce-key"
	nameLookup    = "lookup-key"
	nameAuthority = "ca"
)

// NonceKeySize is the size in bytes of the key that authenticates nonces.
const NonceKeySize = 32

// lookupKeySize is the size in bytes of the key under which tokens and sessions are
// hashed.
const lookupKeySize = 32

// Secrets keeps sealed keys by name. PutIfAbsent stores a key unless there is
// one and returns the one that is stored then, so that replicas agree.
type Secrets interface {
	Secret(ctx context.Context, name string) (sealed []byte, found bool, err error)
	PutSecretIfAbsent(ctx context.Context, name string, sealed []byte) (stored []byte, err error)
}

// Keyring is the service's keys, opened.
type Keyring struct {
	Ingestion *seal.PrivateKey   // opens unsealing keys
	Identity  ed25519.PrivateKey // signs grants and bundle manifests
	Nonce     []byte             // authenticates nonces, NonceKeySize bytes
	Lookup    []byte             // hashes tokens and sessions, lookupKeySize bytes; the same for good
	Authority *Authority         // the private CA
}

// Open reads the keys, and makes those that do not exist yet. The error wraps
// ErrWrongKEK when the KEK does not fit.
func Open(ctx context.Context, secrets Secrets, kek *KEK) (*Keyring, error) {
	o := opener{secrets, kek}
	var k Keyring
	ingestion, err := o.open(ctx, nameIngestion, newIngestionKey)
	if err != nil {
		return nil, err
	}
	if k.Ingestion, err = seal.ParsePrivateKey(ingestion); err != nil {
		return nil, fmt.Errorf("%s: %w", nameIngestion, err)
	}
	seed, err := o.open(ctx, nameIdentity, func() ([]byte, error) { return random(ed25519.SeedSize), nil })
	if err != nil {
		return nil, err
	}
	k.Identity = ed25519.NewKeyFromSeed(seed)
	if k.Nonce, err = o.open(ctx, nameNonce, func() ([]byte, error) { return random(NonceKeySize), nil }); err != nil {
		return nil, err
	}
	if k.Lookup, err = o.open(ctx, nameLookup, func() ([]byte, error) { return random(lookupKeySize), nil }); err != nil {
		return nil, err
	}
	authority, err := o.open(ctx, nameAuthority, newAuthority)
	if err != nil {
		return nil, err
	}
	if k.Authority, err = parseAuthority(authority); err != nil {
		return nil, fmt.Errorf("%s: %w", nameAuthority, err)
	}
	return &k, nil
}

// Fits reports whether this KEK opens the keys. The error wraps ErrWrongKEK.
func (k *KEK) Fits(ctx context.Context, secrets Secrets) error {
	sealed, found, err := secrets.Secret(ctx, nameNonce)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s is missing from the database", nameNonce)
	}
	key, err := k.Open(nameNonce, sealed)
	clear(key)
	return err
}

// Check fails when the keys were sealed under another KEK since they were opened.
// In a transaction of the store it keeps that from happening until it ends. The
// error wraps ErrWrongKEK.
func (k *KEK) Check(ctx context.Context, secrets interface {
	LockSecret(ctx context.Context, name string) (sealed []byte, err error)
}) error {
	sealed, err := secrets.LockSecret(ctx, nameNonce)
	if err != nil {
		return err
	}
	key, err := k.Open(nameNonce, sealed)
	clear(key)
	return err
}

// Made reports whether there are keys already, so that their KEK must be there too.
func Made(ctx context.Context, secrets Secrets) (bool, error) {
	_, found, err := secrets.Secret(ctx, nameIngestion)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", nameIngestion, err)
	}
	return found, nil
}

type opener struct {
	secrets Secrets
	kek     *KEK
}

// open returns the key of that name, which create makes when there is none.
func (o opener) open(ctx context.Context, name string, create func() ([]byte, error)) ([]byte, error) {
	sealed, found, err := o.secrets.Secret(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !found {
		key, err := create()
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		if sealed, err = o.secrets.PutSecretIfAbsent(ctx, name, o.kek.Seal(name, key)); err != nil {
			return nil, fmt.Errorf("store %s: %w", name, err)
		}
	}
	return o.kek.Open(name, sealed)
}

func newIngestionKey() ([]byte, error) {
	key, err := seal.GenerateKey()
	if err != nil {
		return nil, err
	}
	return key.Bytes()
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b) // never fails, see crypto/rand
	return b
}
