package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newKey(tb testing.TB) *seal.PrivateKey {
	tb.Helper()
	key, err := seal.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// TestSealedSizes holds the sizes that messages and the disk count on.
func TestSealedSizes(t *testing.T) {
	key := newKey(t)
	private, err := key.Bytes()
	if err != nil || len(private) != seal.PrivateKeySize || len(key.Public().Bytes()) != wire.PublicKeySize {
		t.Errorf("private key of %d bytes, public of %d, %v", len(private), len(key.Public().Bytes()), err)
	}
	for size, want := range map[int]int{wire.VMKSize: wire.SealedVMKSize, seal.PrivateKeySize: wire.SealedUnsealingKeySize, 0: seal.Overhead} {
		sealed, err := key.Public().Seal(nil, make([]byte, size))
		if err != nil || len(sealed) != want {
			t.Errorf("%d bytes seal to %d, %v, want %d", size, len(sealed), err, want)
		}
	}
}

func TestSealSurvivesEncoding(t *testing.T) {
	key := newKey(t)
	public, err := seal.ParsePublicKey(key.Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	private, err := seal.ParsePrivateKey(encoded)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := public.Seal([]byte("info"), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := private.Open([]byte("info"), sealed); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	key, other := newKey(t), newKey(t)
	sealed, err := key.Public().Seal([]byte("info"), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":  func() ([]byte, error) { return other.Open([]byte("info"), sealed) },
		"another info": func() ([]byte, error) { return key.Open([]byte("other"), sealed) },
		"cut":          func() ([]byte, error) { return key.Open([]byte("info"), sealed[:len(sealed)-1]) },
		"only enc":     func() ([]byte, error) { return key.Open([]byte("info"), sealed[:wire.EncSize]) },
		"empty":        func() ([]byte, error) { return key.Open([]byte("info"), nil) },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrOpen) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, i := range []int{0, wire.EncSize - 1, wire.EncSize, len(sealed) - 1} {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := key.Open([]byte("info"), changed); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("byte %d flipped: got %v", i, err)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, n := range []int{0, 31, 33} {
		if _, err := seal.ParsePrivateKey(make([]byte, n)); err == nil {
			t.Errorf("private key of %d bytes", n)
		}
	}
	for _, n := range []int{0, wire.PublicKeySize - 1, wire.PublicKeySize + 1} {
		if _, err := seal.ParsePublicKey(make([]byte, n)); err == nil {
			t.Errorf("public key of %d bytes", n)
		}
	}
}
