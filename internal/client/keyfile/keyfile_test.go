package keyfile_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// TestIdentityOfSmallOrder gives a key under which anybody can sign.
func TestIdentityOfSmallOrder(t *testing.T) {
	file, err := keyfile.Identity(make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := keyfile.ParseIdentity(file); !errors.Is(err, keyfile.ErrKey) || !errors.Is(err, identity.ErrKey) {
		t.Errorf("got %x, %v", key, err)
	}
}

func TestWrittenKeysAreRead(t *testing.T) {
	identity, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file, err := keyfile.Identity(identity)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keyfile.ParseIdentity(file); err != nil || !got.Equal(identity) {
		t.Errorf("identity key: got %x, %v", got, err)
	}
	private, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keyfile.ParsePublic(keyfile.Public(private.Public()))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := public.Seal([]byte("info"), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if file, err = keyfile.Private(private); err != nil {
		t.Fatal(err)
	}
	again, err := keyfile.ParsePrivate(file)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := again.Open([]byte("info"), sealed); err != nil || string(opened) != "secret" {
		t.Errorf("opened %q, %v", opened, err)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	private, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public := keyfile.Public(private.Public())
	for name, file := range map[string][]byte{
		"empty":     nil,
		"two keys":  append(bytes.Clone(public), public...),
		"DER":       bytes.Repeat([]byte{0x30}, 44),
		"damaged":   bytes.Replace(public, []byte("\n"), []byte("\nAAAA"), 1),
		"other key": []byte("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"),
	} {
		if _, err := keyfile.ParsePublic(file); !errors.Is(err, keyfile.ErrKey) {
			t.Errorf("%s as public key: got %v", name, err)
		}
		if _, err := keyfile.ParsePrivate(file); !errors.Is(err, keyfile.ErrKey) {
			t.Errorf("%s as private key: got %v", name, err)
		}
		if _, err := keyfile.ParseIdentity(file); !errors.Is(err, keyfile.ErrKey) {
			t.Errorf("%s as identity key: got %v", name, err)
		}
	}
}
