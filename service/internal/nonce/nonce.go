// Package nonce makes the challenges of the attestation protocol. A nonce is
// authenticated and carries its own expiry, so any replica that has the key can
// check it without having seen it. That it is used once is not this package's
// to know: the store records it with the outcome.
package nonce

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Lifetime is how long a nonce is good for.
const Lifetime = 60 * time.Second

// Layout of a nonce: when it expires, in microseconds since 1970 UTC,
// big-endian; random bytes; HMAC-SHA-256 of both.
const (
	offsetRandom = 8
	offsetMAC    = wire.NonceSize - sha256.Size
)

// Errors of Check.
var (
	ErrForged  = errors.New("nonce was not made by this service")
	ErrExpired = errors.New("nonce has expired")
)

// Issuer makes and checks nonces.
type Issuer struct {
	key []byte
	now func() time.Time
}

// NewIssuer takes the nonce key and the clock, time.Now outside of tests.
func NewIssuer(key []byte, now func() time.Time) *Issuer {
	return &Issuer{key: key, now: now}
}

// New returns a nonce of wire.NonceSize bytes.
func (i *Issuer) New() []byte {
	nonce := make([]byte, offsetMAC, wire.NonceSize)
	binary.BigEndian.PutUint64(nonce, uint64(i.now().Add(Lifetime).UnixMicro()))
	rand.Read(nonce[offsetRandom:]) // never fails, see crypto/rand
	return append(nonce, i.mac(nonce)...)
}

// Check returns when a nonce expires. The error is ErrForged or ErrExpired.
func (i *Issuer) Check(nonce []byte) (expires time.Time, err error) {
	if len(nonce) != wire.NonceSize || !hmac.Equal(nonce[offsetMAC:], i.mac(nonce[:offsetMAC])) {
		return time.Time{}, ErrForged
	}
	expires = time.UnixMicro(int64(binary.BigEndian.Uint64(nonce)))
	if i.now().After(expires) {
		return expires, ErrExpired
	}
	return expires, nil
}

func (i *Issuer) mac(data []byte) []byte {
	h := hmac.New(sha256.New, i.key)
	h.Write([]byte("snpguard/v1/nonce\x00"))
	h.Write(data)
	return h.Sum(nil)
}
