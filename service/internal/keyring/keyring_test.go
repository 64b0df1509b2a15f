package keyring_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
)

// memory is a Secrets that keeps them in memory.
type memory struct {
	mu      sync.Mutex
	secrets map[string][]byte
}

func (m *memory) Secret(_ context.Context, name string) (sealed []byte, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sealed, found = m.secrets[name]
	return sealed, found, nil
}

func (m *memory) PutSecretIfAbsent(_ context.Context, name string, sealed []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.secrets == nil {
		m.secrets = make(map[string][]byte)
	}
	if stored, found := m.secrets[name]; found {
		return stored, nil
	}
	m.secrets[name] = sealed
	return sealed, nil
}

func newKEK(t *testing.T, first byte) *keyring.KEK {
	t.Helper()
	key := make([]byte, keyring.KEKSize)
	key[0] = first
	kek, err := keyring.NewKEK(key)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func TestOpenGivesTheSameKeysAgain(t *testing.T) {
	secrets, kek := &memory{}, newKEK(t, 1)
	first, err := keyring.Open(t.Context(), secrets, kek)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keyring.Open(t.Context(), secrets, kek)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Ingestion.Public().Bytes(), second.Ingestion.Public().Bytes()) || !first.Identity.Equal(second.Identity) ||
		!bytes.Equal(first.Nonce, second.Nonce) || !first.Authority.Certificate.Equal(second.Authority.Certificate) {
		t.Error("keys differ")
	}
	if len(first.Nonce) != keyring.NonceKeySize {
		t.Errorf("nonce key of %d bytes", len(first.Nonce))
	}
}

// TestReplicasAgree starts many replicas at once on an empty database.
func TestReplicasAgree(t *testing.T) {
	secrets, kek := &memory{}, newKEK(t, 1)
	identities := make([]string, 16)
	var wg sync.WaitGroup
	for i := range identities {
		wg.Go(func() {
			k, err := keyring.Open(t.Context(), secrets, kek)
			if err != nil {
				t.Error(err)
				return
			}
			identities[i] = string(k.Identity)
		})
	}
	wg.Wait()
	for _, identity := range identities[1:] {
		if identity != identities[0] {
			t.Fatal("replicas have different identity keys")
		}
	}
}

func TestWrongKEKOpensNothing(t *testing.T) {
	secrets := &memory{}
	if _, err := keyring.Open(t.Context(), secrets, newKEK(t, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(t.Context(), secrets, newKEK(t, 2)); !errors.Is(err, keyring.ErrWrongKEK) {
		t.Errorf("got %v, want %v", err, keyring.ErrWrongKEK)
	}
	for name, sealed := range secrets.secrets {
		if bytes.Contains(sealed, []byte("PRIVATE KEY")) {
			t.Errorf("%s is stored in clear", name)
		}
	}
}

// TestSealedKeysCannotBeSwapped moves a sealed key to another name.
func TestSealedKeysCannotBeSwapped(t *testing.T) {
	kek := newKEK(t, 1)
	sealed := kek.Seal("a", []byte("key"))
	if got, err := kek.Open("a", sealed); err != nil || string(got) != "key" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := kek.Open("b", sealed); !errors.Is(err, keyring.ErrWrongKEK) {
		t.Errorf("another name: got %v", err)
	}
	if bytes.Equal(sealed, kek.Seal("a", []byte("key"))) {
		t.Error("sealing the same key twice gives the same bytes")
	}
	for _, short := range [][]byte{nil, sealed[:5], sealed[:len(sealed)-1]} {
		if _, err := kek.Open("a", short); !errors.Is(err, keyring.ErrWrongKEK) {
			t.Errorf("cut to %d bytes: got %v", len(short), err)
		}
	}
}

func TestImageKeys(t *testing.T) {
	kek, image := newKEK(t, 1), wire.NewUUID()
	keys, sealed, err := kek.NewImageKeys(image)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := kek.OpenImageKeys(image, sealed.ID, sealed.Author)
	if err != nil || !opened.ID.Equal(keys.ID) || !opened.Author.Equal(keys.Author) || keys.ID.Equal(keys.Author) {
		t.Fatalf("keys differ: %v", err)
	}
	if digest, err := idblock.KeyDigest(&opened.ID.PublicKey); err != nil || digest != sealed.IDDigest {
		t.Errorf("ID key digest %x, %v", digest, err)
	}
	for name, open := range map[string]func() error{
		"another image": func() error { _, err := kek.OpenImageKeys(wire.NewUUID(), sealed.ID, sealed.Author); return err },
		"swapped":       func() error { _, err := kek.OpenImageKeys(image, sealed.Author, sealed.ID); return err },
	} {
		if err := open(); !errors.Is(err, keyring.ErrWrongKEK) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestShare(t *testing.T) {
	kek, instance := newKEK(t, 1), wire.NewUUID()
	var sealed [2][]byte
	var shares [2][]byte
	for n := range sealed {
		var err error
		if sealed[n], err = kek.NewShare(instance); err != nil {
			t.Fatal(err)
		}
		if shares[n], err = kek.OpenShare(instance, sealed[n]); err != nil || len(shares[n]) != wire.KeyShareSize {
			t.Fatalf("share of %d bytes, %v", len(shares[n]), err)
		}
	}
	if bytes.Equal(shares[0], shares[1]) || bytes.Contains(sealed[0], shares[0]) {
		t.Error("two shares are the same, or one is not sealed")
	}
	for name, open := range map[string]func() error{
		"another instance": func() error { _, err := kek.OpenShare(wire.NewUUID(), sealed[0]); return err },
		"another KEK":      func() error { _, err := newKEK(t, 2).OpenShare(instance, sealed[0]); return err },
		"cut":              func() error { _, err := kek.OpenShare(instance, sealed[0][1:]); return err },
	} {
		if err := open(); !errors.Is(err, keyring.ErrWrongKEK) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	short := kek.Seal("instance/"+instance.String()+"/share", make([]byte, wire.KeyShareSize-1))
	if _, err := kek.OpenShare(instance, short); err == nil {
		t.Error("a short share")
	}
}

func TestLoadKEK(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if _, err := keyring.LoadKEK(path, false); !errors.Is(err, keyring.ErrKEKFile) {
		t.Errorf("missing file: got %v", err)
	}
	first, err := keyring.LoadKEK(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != keyring.KEKSize {
		t.Errorf("file %v, %v", info, err)
	}
	second, err := keyring.LoadKEK(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open("x", first.Seal("x", nil)); err != nil {
		t.Errorf("the second load gave another key: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLoadKEKRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"short": write("short", 31, 0o600), "long": write("long", 33, 0o600), "group": write("group", 32, 0o640),
		"world": write("world", 32, 0o604), "directory": dir,
	} {
		if _, err := keyring.LoadKEK(path, true); !errors.Is(err, keyring.ErrKEKFile) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestServerCertificate makes a TLS connection that trusts the CA alone.
func TestServerCertificate(t *testing.T) {
	ring, err := keyring.Open(t.Context(), &memory{}, newKEK(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	get, err := ring.Authority.ServerCertificate(keyring.ParseNames([]string{"snpguard.example", "127.0.0.1", "::1"}))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ring.Authority.PEM())) {
		t.Fatal("no CA certificate in PEM")
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: get})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener) //nolint:errcheck // ends with the test
	defer server.Close()
	for name, ok := range map[string]bool{"snpguard.example": true, "127.0.0.1": true, "::1": true, "other.example": false, "127.0.0.2": false} {
		connection, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: name})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			connection.Close()
		}
	}
}
