package client_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// trusted is a service with one good token.
type trusted struct {
	*httptest.Server
	ca, fingerprint string
}

func newTrusted(t *testing.T, key []byte) *trusted {
	t.Helper()
	f := &trusted{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == wire.PathPublicInfo:
			json.NewEncoder(w).Encode(wire.PublicInfo{ //nolint:errcheck // the test sees it
				IdentityKey: key, IngestionKey: make([]byte, wire.PublicKeySize), CACertificate: f.ca,
			})
		case r.Header.Get("Authorization") == "Bearer good":
			json.NewEncoder(w).Encode(wire.Status{}) //nolint:errcheck // likewise
		default:
			w.Header().Set("Content-Type", wire.ProblemContentType)
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(wire.Problem{Code: wire.CodeUnauthenticated}) //nolint:errcheck // likewise
		}
	}))
	t.Cleanup(f.Close)
	f.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
	sum := sha256.Sum256(f.Certificate().Raw)
	f.fingerprint = hex.EncodeToString(sum[:])
	return f
}

func serviceKey() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// remember logs in, to nothing where the URL is empty.
func remember(t *testing.T, l client.Login) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "login.json")
	t.Setenv(client.LoginVariable, path)
	t.Setenv(client.TokenVariable, "")
	if l.URL != "" {
		if err := l.Write(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLogin(t *testing.T) {
	good, other, zeros := newTrusted(t, serviceKey()), newTrusted(t, make([]byte, 7)), newTrusted(t, make([]byte, 32))
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, []byte(good.ca), 0o600); err != nil {
		t.Fatal(err)
	}
	colons := strings.ToUpper(good.fingerprint[:2] + ":" + good.fingerprint[2:])
	for _, tc := range []struct {
		name       string
		service    client.Service
		remembered client.Login
		want       option.Name // option at fault; empty for none
	}{
		{name: "CA in a file", service: client.Service{ServiceURL: good.URL, CAFile: caFile}},
		{name: "CA as text", service: client.Service{ServiceURL: good.URL, CAFile: good.ca}},
		{name: "fingerprint", service: client.Service{ServiceURL: good.URL, Fingerprint: colons}},
		{name: "login", remembered: client.Login{IdentityKey: serviceKey(), URL: good.URL, CA: good.ca}},
		{name: "login of the same", service: client.Service{ServiceURL: good.URL + "/"}, remembered: client.Login{IdentityKey: serviceKey(), URL: good.URL, CA: good.ca}},
		{name: "login of another", service: client.Service{ServiceURL: good.URL}, remembered: client.Login{IdentityKey: serviceKey(), URL: "https://another"}, want: "service_url"},
		{name: "nobody vouches", service: client.Service{ServiceURL: good.URL}, want: "service_url"},
		{name: "wrong fingerprint", service: client.Service{ServiceURL: good.URL, Fingerprint: strings.Repeat("0", 64)}, want: "fingerprint"},
		{name: "wrong sizes", service: client.Service{ServiceURL: other.URL, CAFile: other.ca}, want: "service_url"},
		{name: "identity key of zeros", service: client.Service{ServiceURL: zeros.URL, CAFile: zeros.ca}, want: "service_url"},
		{name: "malformed fingerprint", service: client.Service{ServiceURL: good.URL, Fingerprint: "00ff"}, want: "fingerprint"},
		{name: "both", service: client.Service{ServiceURL: good.URL, CAFile: caFile, Fingerprint: colons}, want: "fingerprint"},
		{name: "CA of nothing", service: client.Service{CAFile: caFile}, want: "service_url"},
		{name: "no such file", service: client.Service{ServiceURL: good.URL, CAFile: caFile + "x"}, want: "ca_file"},
		{name: "nothing", want: "service_url"},
		{name: "away", service: client.Service{ServiceURL: "https://127.0.0.1:1", CAFile: caFile}, want: "service_url"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			remember(t, tc.remembered)
			l, err := tc.service.Login(t.Context())
			var wrong *option.Error
			if errors.As(err, &wrong); tc.want != "" {
				if wrong == nil || wrong.Option != tc.want {
					t.Errorf("got %v, want it to be about %s", err, tc.want)
				}
				return
			}
			if err != nil || l.CA != good.ca {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}
}

// TestCAOfAnother trusts a CA that the service does not have.
func TestCAOfAnother(t *testing.T) {
	remember(t, client.Login{})
	f := newTrusted(t, serviceKey())
	ca, err := os.ReadFile("testdata/another-ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	s := client.Service{ServiceURL: f.URL, CAFile: string(ca)}
	if _, err := s.Login(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestConnect(t *testing.T) {
	f := newTrusted(t, serviceKey())
	for _, tc := range []struct {
		name                    string
		given, variable, stored string
		storedURL, storedCA     string
		want                    option.Name // option at fault
	}{
		{name: "given", given: "good", variable: "bad"},
		{name: "environment", variable: "good", stored: "bad"},
		{name: "login", stored: "good"},
		{name: "login of another service", stored: "good", storedURL: "https://another", want: "token"},
		{name: "login of another CA", stored: "good", storedCA: "another", want: "token"},
		{name: "none", want: "token"},
		{name: "refused", given: "bad", want: "token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := client.Login{IdentityKey: serviceKey(), URL: f.URL, CA: f.ca, Token: tc.stored}
			if tc.storedURL != "" {
				l.URL = tc.storedURL
			}
			if tc.storedCA != "" {
				l.CA = tc.storedCA
			}
			remember(t, l)
			t.Setenv(client.TokenVariable, tc.variable)
			a := client.Account{Service: client.Service{ServiceURL: f.URL, CAFile: f.ca}, Token: tc.given}
			_, _, err := a.Connect(t.Context())
			var wrong *option.Error
			if errors.As(err, &wrong); (tc.want == "") != (err == nil) || wrong != nil && wrong.Option != tc.want {
				t.Errorf("got %v, want it to be about %q", err, tc.want)
			}
		})
	}
}
