package convertopts_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/keyfile"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convertopts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// keys are those of a service, as PEM text.
func keys(t *testing.T) (identity, ingestion string, login client.Login) {
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
		client.Login{URL: "https://remembered", CA: "remembered CA", IdentityKey: public, IngestionKey: private.Public().Bytes()}
}

func agent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(path, []byte("agent"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c := convertopts.Config{NoEncryption: true}
	c.SetDefaults()
	o, err := c.Options(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Format != "qcow2" || o.Network.Mode != bootconf.ModeDHCP || o.CloudInit != "none" || o.Deadline != bootconf.DefaultDeadline || o.Version == "" {
		t.Errorf("got %+v", o)
	}
}

func TestTranslation(t *testing.T) {
	c := convertopts.Config{
		NoEncryption: true, Size: "20G", Network: "static:192.0.2.7/24,gw=192.0.2.1", NetworkMAC: "02:00:00:00:00:01", Deadline: time.Minute,
	}
	c.SetDefaults()
	o, err := c.Options(t.Context(), nil)
	if err != nil || o.Size != 20<<30 || !slices.Equal(o.Network.Gateways, []string{"192.0.2.1"}) || o.Network.MAC == "" || o.Deadline != time.Minute {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestAllMistakesAtOnce names every option that is wrong.
func TestAllMistakesAtOnce(t *testing.T) {
	c := convertopts.Config{Kernel: "6.12", Interactive: true, Size: "much", Network: "wlan", Deadline: 1, AgentPath: "/nonexistent", IdentityKey: "x"}
	_, err := c.Options(t.Context(), &meet.Service{})
	var names []string
	for _, part := range option.List(err) {
		var wrong *option.Error
		if !errors.As(part, &wrong) {
			t.Fatalf("%v names no option", part)
		}
		names = append(names, wrong.Option)
	}
	if want := []string{"kernel", "size", "network", "deadline", "agent_path", "identity_key"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestKeysOfTheService(t *testing.T) {
	identity, ingestion, login := keys(t)
	path := filepath.Join(t.TempDir(), "login.json")
	t.Setenv(client.LoginVariable, path)
	if err := login.Write(path); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "identity.pem")
	if err := os.WriteFile(file, []byte(identity), 0o600); err != nil {
		t.Fatal(err)
	}
	const ca = "-----BEGIN CERTIFICATE-----"
	for _, tc := range []struct {
		name    string
		config  convertopts.Config
		service meet.Service
		urls    []string
		ca      string
		wrong   string
	}{
		{name: "login", urls: []string{"https://remembered"}, ca: "remembered CA"},
		{name: "login, other addresses", config: convertopts.Config{Services: []string{"https://a", "https://b"}}, urls: []string{"https://a", "https://b"}, ca: "remembered CA"},
		{name: "keys", config: convertopts.Config{IdentityKey: file, IngestionKey: ingestion}, service: meet.Service{ServiceURL: "https://a", CAFile: ca}, urls: []string{"https://a"}, ca: ca},
		{name: "keys, address of the login", config: convertopts.Config{IdentityKey: identity, IngestionKey: ingestion}, service: meet.Service{CAFile: ca}, urls: []string{"https://remembered"}, ca: ca},
		{name: "keys without a CA", config: convertopts.Config{IdentityKey: identity, IngestionKey: ingestion}, wrong: "ca_file"},
		{name: "half of the keys", config: convertopts.Config{IngestionKey: ingestion}, wrong: "identity_key"},
		{name: "the wrong key", config: convertopts.Config{IdentityKey: identity, IngestionKey: identity}, service: meet.Service{CAFile: ca}, wrong: "ingestion_key"},
		{name: "no such file", config: convertopts.Config{IdentityKey: "/nonexistent", IngestionKey: ingestion}, service: meet.Service{CAFile: ca}, wrong: "identity_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.config.AgentPath = agent(t)
			tc.config.SetDefaults()
			o, err := tc.config.Options(t.Context(), &tc.service)
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
