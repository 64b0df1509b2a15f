// Package identity reads the identity key of an attestation service: the Ed25519
// key (RFC 8032) under which a guest takes a grant and an operator a launch
// bundle. Whatever takes such a key from outside takes it from Parse.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
)

// ErrKey is an identity key that nothing may be verified with.
var ErrKey = errors.New("not an identity key")

// Parse returns the key whose encoding (RFC 8032, section 5.1.2) raw is, 32 bytes.
// crypto/ed25519 verifies under any bytes that decode. It does so as well under a
// point of small order, such as 32 zeros, and there everybody can sign: such keys
// are refused, and so is a second encoding of a key. The error wraps ErrKey.
func Parse(raw []byte) (ed25519.PublicKey, error) {
	if len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: it has %d bytes, want %d", ErrKey, len(raw), ed25519.PublicKeySize)
	}
	point, err := new(edwards25519.Point).SetBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not a point of the curve", ErrKey)
	}
	if !bytes.Equal(point.Bytes(), raw) {
		return nil, fmt.Errorf("%w: it is not encoded as RFC 8032 has it", ErrKey)
	}
	if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("%w: it is a point of small order, under which anybody can sign", ErrKey)
	}
	return bytes.Clone(raw), nil
}
