// Package keyfile reads and writes the key files that people carry between an
// attestation service and a build machine. All are PEM: Ed25519 keys as a
// SubjectPublicKeyInfo (RFC 8410), HPKE keys of MLKEM768-X25519, which has no
// standard of its own for files yet, as their bytes under a label that says what
// they are.
package keyfile

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// PEM labels.
const (
	labelPublic      = "PUBLIC KEY"
	labelHPKEPublic  = "SNPGUARD HPKE PUBLIC KEY"
	labelHPKEPrivate = "SNPGUARD HPKE PRIVATE KEY"
)

// derSequence is the first byte of a key in DER.
const derSequence = 0x30

// MaxSize bounds a key file, in bytes.
const MaxSize = 16 << 10

// ErrKey is a file that does not hold the key that is wanted.
var ErrKey = errors.New("wrong kind of key")

// Identity encodes a service's identity key.
func Identity(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode identity key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: labelPublic, Bytes: der}), nil
}

// ParseIdentity reads what Identity wrote. The error wraps ErrKey.
func ParseIdentity(file []byte) (ed25519.PublicKey, error) {
	der, err := decode(file, labelPublic)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	raw, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T, want an Ed25519 key", ErrKey, key)
	}
	parsed, err := identity.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return parsed, nil
}

// Public encodes an HPKE public key: an ingestion key, or an unsealing key's
// public half.
func Public(key *seal.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: labelHPKEPublic, Bytes: key.Bytes()})
}

// ParsePublic reads what Public wrote. The error wraps ErrKey.
func ParsePublic(file []byte) (*seal.PublicKey, error) {
	raw, err := decode(file, labelHPKEPublic)
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

// Private encodes an HPKE private key. Whoever reads it opens everything that was
// sealed to it.
func Private(key *seal.PrivateKey) ([]byte, error) {
	raw, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return pem.EncodeToMemory(&pem.Block{Type: labelHPKEPrivate, Bytes: raw}), nil
}

// ParsePrivate reads what Private wrote. The error wraps ErrKey.
func ParsePrivate(file []byte) (*seal.PrivateKey, error) {
	raw, err := decode(file, labelHPKEPrivate)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	key, err := seal.ParsePrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}

// decode returns the bytes of a file's only PEM block, which must have a label.
func decode(file []byte, label string) ([]byte, error) {
	block, rest := pem.Decode(file)
	switch {
	case block == nil && len(file) > 0 && file[0] == derSequence:
		return nil, fmt.Errorf("%w: it is DER, want PEM; convert it with \"openssl pkey -pubin -inform DER -in FILE\"", ErrKey)
	case block == nil:
		return nil, fmt.Errorf("%w: it is not a PEM file", ErrKey)
	}
	if block.Type != label {
		return nil, fmt.Errorf("%w: it holds a %s, want a %s", ErrKey, block.Type, label)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%w: more than one key", ErrKey)
	}
	return block.Bytes, nil
}
