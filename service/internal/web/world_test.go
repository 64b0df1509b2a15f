package web

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// world is a dashboard before an API that only notes what it is asked.
type world struct {
	t         testing.TB
	web       *Web
	store     *store.Store
	sessions  *access.Sessions
	passwords *access.Passwords
	password  string
	secret    string // of a session
	api       *fakeAPI
	log       strings.Builder
}

// fakeAPI answers everything with the same.
type fakeAPI struct {
	mu     sync.Mutex
	asked  []string // METHOD PATH
	bodies []string
	status int
	header http.Header
	body   string
}

// ServeHTTP implements http.Handler.
func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := ""
	if r.Body != nil {
		data, _ := io.ReadAll(r.Body) // what is read is compared
		body = string(data)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")))
	f.bodies = append(f.bodies, body)
	for name, values := range f.header {
		w.Header()[name] = values
	}
	w.WriteHeader(f.status)
	fmt.Fprint(w, f.body)
}

// noEndorser has no certificates.
type noEndorser struct{}

func (noEndorser) Chains(context.Context, kds.Asker, *snp.Report, []byte) ([]attest.Chain, error) {
	return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate}
}

func (noEndorser) CheckRevocation(context.Context, *attest.Verified) error { return nil }

func newWorld(t testing.TB, db storetest.Database) *world {
	t.Helper()
	w := &world{t: t, store: db.Open(t), api: &fakeAPI{status: http.StatusNoContent}}
	kek, err := keyring.NewKEK(make([]byte, keyring.KEKSize))
	must(t, err)
	keys, err := keyring.Open(t.Context(), w.store, kek)
	must(t, err)
	w.sessions = access.NewSessions(w.store, keys.Lookup, time.Now)
	w.passwords = access.NewPasswords(w.store, kek, access.Params{Time: 1, Memory: 8, Threads: 1}, time.Now)
	w.password, err = w.passwords.Init(t.Context())
	must(t, err)
	w.secret = w.newSession()
	w.web, err = New(Config{
		API: w.api, Store: w.store, Sessions: w.sessions, KDSCache: w.store.KDSCache(),
		Verifier: attest.NewVerifier(attest.AMDRoots()), Endorser: noEndorser{},
		Info: wire.PublicInfo{CACertificate: keys.Authority.PEM()}, Status: wire.Status{Database: "sqlite"}, CRL: "strict",
		Certificate: func() (*x509.Certificate, error) { return keys.Authority.Certificate, nil }, CA: keys.Authority.Certificate,
		MaxUpload: 1 << 20, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	must(t, err)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) newSession() string {
	w.t.Helper()
	given, err := w.passwords.Check(w.t.Context(), "192.0.2.1", w.password)
	must(w.t, err)
	session, err := w.sessions.Start(w.t.Context(), given)
	must(w.t, err)
	return session.Secret
}

// do sends a request with the session of the world, unless it has a cookie.
func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	if r.Header.Get("Cookie") == "" {
		r.AddCookie(sessionCookie(w.secret))
	}
	answer := httptest.NewRecorder()
	w.web.ServeHTTP(answer, r.WithContext(w.t.Context()))
	return answer
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.do(httptest.NewRequest(http.MethodGet, path, nil))
}

// post sends a form with the token of the session, as a page of this origin does.
func (w *world) post(path string, form url.Values) *httptest.ResponseRecorder {
	w.t.Helper()
	form.Set(fieldToken, (&request{secret: w.secret}).token())
	return w.do(newForm(path, form))
}

func newForm(path string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// image registers an image with a release.
func (w *world) image(name string) (store.Image, store.Release) {
	w.t.Helper()
	release := storetest.Release("f", "k", "i")
	release.Policy = []byte(`{"version":1}`)
	image, release, err := w.store.CreateImage(w.t.Context(), storetest.Image(name), release, storetest.Present)
	must(w.t, err)
	return image, release
}

// paths replaces the parameters of a route by what there is.
func (w *world) paths(image store.Image, release store.Release) *strings.Replacer {
	return strings.NewReplacer(":id", image.ID.String(), ":rid", release.ID.String(), ":name", "vmlinuz", ":seq", "1")
}
