package nonce_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
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

// TestNonceOfTheExample checks the nonce of the worked example in docs/protocol.md
// with the key that stands there.
func TestNonceOfTheExample(t *testing.T) {
	page, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\{"nonce": "([A-Za-z0-9+/=]+)"`).FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no challenge")
	}
	made, err := base64.StdEncoding.DecodeString(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	issuer := nonce.NewIssuer(bytes.Repeat([]byte{0x33}, 32), func() time.Time { return want.Add(-nonce.Lifetime) })
	if expires, err := issuer.Check(made); err != nil || !expires.Equal(want) {
		t.Errorf("the nonce expires at %v, %v", expires, err)
	}
}
