// Package seal encrypts short secrets to one recipient with HPKE (RFC 9180),
// base mode, in the one suite that SnpGuard uses everywhere: MLKEM768-X25519,
// HKDF-SHA-384, AES-256-GCM. It holds against an attacker who records today and
// has a quantum computer later.
//
// Every caller passes an info that says what is sealed for what (see
// internal/protocol/wire); opening with another info fails. Sealing authenticates no
// sender: whoever needs that signs or commits.
package seal

import (
	"crypto/hpke"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ErrOpen is a sealed secret that this key and info do not open. It says no
// more: the difference between a wrong key and a changed byte helps attackers
// alone.
var ErrOpen = errors.New("sealed secret cannot be opened")

// PrivateKeySize is the size in bytes of an encoded private key, a seed.
const PrivateKeySize = 32

// Overhead is how many bytes sealing adds: the encapsulated key and a tag.
const Overhead = wire.SealedVMKSize - wire.VMKSize

func kem() hpke.KEM   { return hpke.MLKEM768X25519() }
func kdf() hpke.KDF   { return hpke.HKDFSHA384() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// PublicKey is whom a secret is sealed to.
type PublicKey struct{ key hpke.PublicKey }

// PrivateKey opens what was sealed to its public key.
type PrivateKey struct{ key hpke.PrivateKey }

// GenerateKey makes a key pair.
func GenerateKey() (*PrivateKey, error) {
	key, err := kem().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("generate HPKE key: %w", err)
	}
	return &PrivateKey{key}, nil
}

// ParsePrivateKey reads a private key of PrivateKeySize bytes.
func ParsePrivateKey(data []byte) (*PrivateKey, error) {
	key, err := kem().NewPrivateKey(data)
	if err != nil {
		return nil, errors.New("not an HPKE private key")
	}
	return &PrivateKey{key}, nil
}

// Bytes returns the encoded private key. It is a secret.
func (k *PrivateKey) Bytes() ([]byte, error) { return k.key.Bytes() }

// Public returns the public half.
func (k *PrivateKey) Public() *PublicKey { return &PublicKey{k.key.PublicKey()} }

// ParsePublicKey reads a public key of wire.PublicKeySize bytes.
func ParsePublicKey(data []byte) (*PublicKey, error) {
	key, err := kem().NewPublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("not an HPKE public key: %w", err)
	}
	return &PublicKey{key}, nil
}

// Bytes returns the encoded public key.
func (k *PublicKey) Bytes() []byte { return k.key.Bytes() }

// Seal encrypts a secret: the encapsulated key, wire.EncSize bytes, and the
// ciphertext, 16 bytes longer than the secret.
func (k *PublicKey) Seal(info, secret []byte) ([]byte, error) {
	sealed, err := hpke.Seal(k.key, kdf(), aead(), info, secret)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made with the same info. The error is ErrOpen.
func (k *PrivateKey) Open(info, sealed []byte) ([]byte, error) {
	secret, err := hpke.Open(k.key, kdf(), aead(), info, sealed)
	if err != nil {
		return nil, ErrOpen
	}
	return secret, nil
}
