package convert

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// serviceKeys are those of a service, as PEM text.
func serviceKeys(t *testing.T) (identity, ingestion string, login client.Login) {
	t.Helper()
	private, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	encoded, err := keyfile.Identity(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded), string(keyfile.Public(private.Public())),
		client.Login{URL: "https://remembered", CA: newCA(t), IdentityKey: public, IngestionKey: private.Public().Bytes()}
}

// newCA returns a CA as PEM text.
func newCA(t *testing.T) string {
	t.Helper()
	o, _ := tinyOptions(t, "")
	return o.Service.CA
}

func agentFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(path, []byte("agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKeysOfTheService(t *testing.T) {
	identity, ingestion, login := serviceKeys(t)
	path := filepath.Join(t.TempDir(), "login.json")
	t.Setenv(client.LoginVariable, path)
	if err := login.Write(path); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "identity.pem")
	if err := os.WriteFile(file, []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	ca, remembered := newCA(t), login.CA
	for _, tc := range []struct {
		name    string
		config  Config
		service client.Service
		urls    []string
		ca      string
		wrong   option.Name
	}{
		{name: "login", urls: []string{"https://remembered"}, ca: remembered},
		{name: "login, other addresses", config: Config{Services: []string{"https://a", "https://b"}}, urls: []string{"https://a", "https://b"}, ca: remembered},
		{name: "keys", config: Config{IdentityKey: file, IngestionKey: ingestion}, service: client.Service{ServiceURL: "https://a", CAFile: ca}, urls: []string{"https://a"}, ca: ca},
		{name: "keys, address of the login", config: Config{IdentityKey: identity, IngestionKey: ingestion}, service: client.Service{CAFile: ca}, urls: []string{"https://remembered"}, ca: ca},
		{name: "keys without a CA", config: Config{IdentityKey: identity, IngestionKey: ingestion}, wrong: "ca_file"},
		{name: "no CA", config: Config{IdentityKey: identity, IngestionKey: ingestion}, service: client.Service{CAFile: "-----BEGIN CERTIFICATE-----"}, wrong: "ca_file"},
		{name: "half of the keys", config: Config{IngestionKey: ingestion}, wrong: "identity_key"},
		{name: "the other half", config: Config{IdentityKey: identity}, wrong: "ingestion_key"},
		{name: "the wrong key", config: Config{IdentityKey: identity, IngestionKey: identity}, service: client.Service{CAFile: ca}, wrong: "ingestion_key"},
		{name: "no such file", config: Config{IdentityKey: "/nonexistent", IngestionKey: ingestion}, service: client.Service{CAFile: ca}, wrong: "identity_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.config.AgentPath = agentFile(t)
			option.SetDefaults(&tc.config)
			o, err := NewOptions(t.Context(), &tc.config, &tc.service)
			var wrong *option.Error
			if errors.As(err, &wrong); tc.wrong != "" {
				if wrong == nil || wrong.Option != tc.wrong {
					t.Errorf("got %v, want it to be about %s", err, tc.wrong)
				}
				return
			}
			if err != nil || !slices.Equal(o.Service.URLs, tc.urls) || o.Service.CA != tc.ca || !bytes.Equal(o.Service.IdentityKey, login.IdentityKey) ||
				!bytes.Equal(o.Service.IngestionKey.Bytes(), login.IngestionKey) || string(o.Agent) != "agent" {
				t.Errorf("got %+v, %v", o.Service, err)
			}
		})
	}
}
