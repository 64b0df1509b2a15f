package client_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// fake is a service that answers what a test wants.
func fake(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, ca string) {
	t.Helper()
	server = httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func answer(w http.ResponseWriter, contentType string, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the test sees it
}

func TestServiceAddresses(t *testing.T) {
	for _, address := range []string{"", "attest.example.com", "http://attest.example.com", "https://", "https://user:pw@host", "https://host?x=1", "https://host#x"} {
		if _, err := client.New(address, "", ""); err == nil || !strings.Contains(err.Error(), "https://HOST") {
			t.Errorf("%q: got %v", address, err)
		}
	}
	if _, err := client.New("https://host", "no PEM", ""); err == nil {
		t.Error("a CA that is none is taken")
	}
}

func TestParseFingerprint(t *testing.T) {
	want := strings.Repeat("0a", 32)
	for _, text := range []string{want, strings.ToUpper(want), strings.TrimSuffix(strings.Repeat("0A:", 32), ":")} {
		if got, err := client.ParseFingerprint(text); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "00ff", want + "00", strings.Repeat("0g", 32), "sha256:" + want} {
		if _, err := client.ParseFingerprint(text); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// Another service under the address of the login, or somebody in between, is told
// by its name.
func TestOtherAuthority(t *testing.T) {
	server, _ := fake(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "token")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.As(err, new(x509.UnknownAuthorityError)) || !strings.Contains(err.Error(), "another service, or the connection is intercepted") {
		t.Errorf("got %v", err)
	}
}

// TestHostileAnswers gives answers that are not the API's.
func TestHostileAnswers(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"web page": func(w http.ResponseWriter, _ *http.Request) { answer(w, "text/html", 200, "hello") },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{")) //nolint:errcheck // the client's error is what counts
		},
		"field twice": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "application/json", 200, json.RawMessage(`{"version":"v1","simulated":true,"simulated":false}`))
		},
		"other case": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, "application/json", 200, json.RawMessage(`{"version":"v1","Simulated":false}`))
		},
		"two answers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{}{}")) //nolint:errcheck // the client's error is what counts
		},
		"problem twice": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, wire.ProblemContentType, 500, json.RawMessage(`{"code":"denied","code":"internal"}`))
		},
		"plain error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"problem without": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, wire.ProblemContentType, 500, map[string]string{})
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example", http.StatusFound)
		},
	} {
		server, ca := fake(t, handler)
		c, err := client.New(server.URL, ca, "secret")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrService) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestRedirectKeepsTheToken redirects to a server that would like the token.
func TestRedirectKeepsTheToken(t *testing.T) {
	asked := false
	thief, _ := fake(t, func(http.ResponseWriter, *http.Request) { asked = true })
	server, ca := fake(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	c, err := client.New(server.URL, ca, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil || asked {
		t.Errorf("got %v, followed: %v", err, asked)
	}
}

func TestProblemsAreErrors(t *testing.T) {
	server, ca := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, wire.ProblemContentType, 403, wire.Problem{Title: "No.", Status: 403, Code: wire.CodeForbidden, RequestID: "r1"})
	})
	c, err := client.New(server.URL, ca, "")
	if err != nil {
		t.Fatal(err)
	}
	var problem *wire.Problem
	if _, err := c.Status(t.Context()); !errors.As(err, &problem) || problem.Code != wire.CodeForbidden || problem.RequestID != "r1" {
		t.Errorf("got %v", err)
	}
}

func TestAnotherCAIsRefused(t *testing.T) {
	server, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, "application/json", 200, wire.Status{}) })
	c, err := client.New(server.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err == nil {
		t.Error("a certificate that nobody vouches for is taken")
	}
}

func identityKey() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// TestDiscover meets services of several kinds for the first time.
func TestDiscover(t *testing.T) {
	var info wire.PublicInfo
	server, ca := fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, "application/json", 200, info) })
	other := otherCA(t)
	good := wire.PublicInfo{
		CACertificate: ca, IdentityKey: identityKey(), IngestionKey: make([]byte, wire.PublicKeySize),
		CAFingerprint: "lie", IdentityKeyFingerprint: "lie", IngestionKeyFingerprint: "lie",
	}
	info = good
	found, err := client.Discover(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(server.Certificate().Raw)
	identity := sha256.Sum256(identityKey())
	if found.PubliclyTrusted || found.Info.CAFingerprint != hex.EncodeToString(sum[:]) || found.Info.IdentityKeyFingerprint != hex.EncodeToString(identity[:]) || found.Info.IngestionKeyFingerprint == "lie" {
		t.Errorf("fingerprints are the service's own words: %+v", found.Info)
	}
	for name, change := range map[string]func(*wire.PublicInfo){
		"no CA":                 func(i *wire.PublicInfo) { i.CACertificate = "" },
		"CA that is no PEM":     func(i *wire.PublicInfo) { i.CACertificate = "CA" },
		"CA of somebody else":   func(i *wire.PublicInfo) { i.CACertificate = other },
		"short identity key":    func(i *wire.PublicInfo) { i.IdentityKey = i.IdentityKey[1:] },
		"identity key of zeros": func(i *wire.PublicInfo) { i.IdentityKey = make([]byte, 32) },
		"missing ingestion key": func(i *wire.PublicInfo) { i.IngestionKey = nil },
	} {
		info = good
		change(&info)
		if _, err := client.Discover(t.Context(), server.URL); !errors.Is(err, client.ErrService) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestDiscoverUnderAnotherName asks a service under a name that it was not started
// with.
func TestDiscoverUnderAnotherName(t *testing.T) {
	var info wire.PublicInfo
	server, ca := fake(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, "application/json", 200, info) })
	info = wire.PublicInfo{CACertificate: ca, IdentityKey: identityKey(), IngestionKey: make([]byte, wire.PublicKeySize)}
	_, err := client.Discover(t.Context(), strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	if err == nil || !strings.Contains(err.Error(), "start it with --hostname localhost") {
		t.Errorf("got %v", err)
	}
}

// otherCA returns a CA that vouches for nobody here.
func otherCA(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "other"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestLoginFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "login.json")
	if _, err := client.ReadLogin(path); !errors.Is(err, client.ErrNoLogin) {
		t.Errorf("missing: got %v", err)
	}
	want := client.Login{URL: "https://host", CA: "ca", IdentityKey: identityKey(), IngestionKey: []byte{2}, Token: "snpg_secret"}
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	got, err := client.ReadLogin(path)
	if err != nil || got.URL != want.URL || got.Token != want.Token || !bytes.Equal(got.IdentityKey, want.IdentityKey) {
		t.Errorf("got %+v, %v", got, err)
	}
	forgeable := want
	forgeable.IdentityKey = make([]byte, 32)
	if err := forgeable.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ReadLogin(path); !errors.Is(err, identity.ErrKey) {
		t.Errorf("an identity key under which anybody can sign: got %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ReadLogin(path); err == nil || !strings.Contains(err.Error(), "others may read it") {
		t.Errorf("readable by others: got %v", err)
	}
	for broken, says := range map[string]string{
		"": "log in again", "{": "log in again", `{"url":"https://host","url":"https://other"}`: `"url" occurs twice`, `{"URL":"https://other"}`: `unknown field "URL"`,
		`{"colour":1}`: `unknown field "colour"; log in again`, `{}{}`: "trailing data",
	} {
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ReadLogin(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want one that says %q", broken, err, says)
		}
	}
}

// TestUnreadableLogin: what keeps a login from being read is not that there is none.
func TestUnreadableLogin(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		dir: "is a directory or device", file + "/login.json": "not a directory", "/dev/null": "is a directory or device", file: "more than 1048576 bytes",
	} {
		_, err := client.ReadLogin(path)
		if err == nil || errors.Is(err, client.ErrNoLogin) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "the login cannot be read") {
			t.Errorf("%s: got %v, want one that says %q", path, err, says)
		}
	}
	t.Setenv(client.LoginVariable, filepath.Join(dir, "none"))
	if _, err := client.ReadLogin(filepath.Join(dir, "none")); !errors.Is(err, client.ErrNoLogin) || !strings.Contains(err.Error(), "SNPGUARD_LOGIN names") {
		t.Errorf("named and missing: got %v", err)
	}
}
