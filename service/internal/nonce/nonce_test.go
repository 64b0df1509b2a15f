package nonce_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
)

func TestCheck(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	clock := func() time.Time { return now }
	issuer, replica := nonce.NewIssuer([]byte("key"), clock), nonce.NewIssuer([]byte("key"), clock)
	made := issuer.New()
	if len(made) != wire.NonceSize || bytes.Equal(made, issuer.New()) {
		t.Fatalf("nonce of %d bytes, or twice the same", len(made))
	}
	expires, err := replica.Check(made)
	if err != nil || !expires.Equal(now.Add(nonce.Lifetime)) {
		t.Errorf("another replica says %v, %v", expires, err)
	}
	for i := range made {
		changed := bytes.Clone(made)
		changed[i] ^= 1
		if _, err := issuer.Check(changed); !errors.Is(err, nonce.ErrForged) {
			t.Errorf("byte %d flipped: got %v", i, err)
		}
	}
	for name, forged := range map[string][]byte{
		"empty": nil, "short": made[:63], "long": append(bytes.Clone(made), 0),
		"foreign": nonce.NewIssuer([]byte("other"), clock).New(), "zeros": make([]byte, wire.NonceSize),
	} {
		if _, err := issuer.Check(forged); !errors.Is(err, nonce.ErrForged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	now = now.Add(nonce.Lifetime)
	if _, err := issuer.Check(made); err != nil {
		t.Errorf("at its last moment: %v", err)
	}
	now = now.Add(time.Microsecond)
	if _, err := issuer.Check(made); !errors.Is(err, nonce.ErrExpired) {
		t.Errorf("after it: %v", err)
	}
}
