package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ErrRotated means that the keys are sealed under the new KEK already.
var ErrRotated = errors.New("database is already sealed under the new key-encryption key")

// Rotation seals anew what From sealed; it is a store.Resealer.
type Rotation struct{ From, To *KEK }

// Check reports whether there is something to do: all keys are there and From opens
// them. The error wraps ErrRotated, ErrWrongKEK, or ErrKEKFile when the KEKs are the
// same. What else is sealed besides the keyring's own is named in others.
func (r Rotation) Check(ctx context.Context, secrets Secrets, others ...string) error {
	if _, err := r.To.Open("", r.From.Seal("", nil)); err == nil {
		return fmt.Errorf("%w: the new key-encryption key is the old one", ErrKEKFile)
	}
	for _, name := range append([]string{nameIngestion, nameIdentity, nameNonce, nameLookup, nameAuthority}, others...) {
		sealed, found, err := secrets.Secret(ctx, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if !found {
			return fmt.Errorf("%s is missing: start the service once before rotating its KEK", name)
		}
		if _, err := r.To.Open(name, sealed); err == nil {
			return ErrRotated // all are sealed anew in one transaction
		}
		if _, err := r.From.Open(name, sealed); err != nil {
			return err
		}
	}
	return nil
}

// Secret implements store.Resealer. The error wraps ErrWrongKEK.
func (r Rotation) Secret(name string, sealed []byte) ([]byte, error) {
	secret, err := r.From.Open(name, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return r.To.Seal(name, secret), nil
}

// ImageKeys implements store.Resealer. The error wraps ErrWrongKEK.
func (r Rotation) ImageKeys(image wire.UUID, id, author []byte) (newID, newAuthor []byte, err error) {
	if newID, err = r.Secret(nameIDKey(image), id); err != nil {
		return nil, nil, err
	}
	newAuthor, err = r.Secret(nameAuthorKey(image), author)
	return newID, newAuthor, err
}

// Share implements store.Resealer. The error wraps ErrWrongKEK.
func (r Rotation) Share(instance wire.UUID, sealed []byte) ([]byte, error) {
	return r.Secret(nameShare(instance), sealed)
}

// RowKey implements store.Resealer.
func (r Rotation) RowKey() []byte { return r.To.RowKey() }
