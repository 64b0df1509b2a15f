package web

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// world is a dashboard over a database, without AMD.
type world struct {
	t         testing.TB
	web       *Web
	store     *store.Store
	sessions  *access.Sessions
	passwords *access.Passwords
	password  string
	secret    string         // of a session
	made      store.Instance // that paths made
	log       strings.Builder
}

// noEndorser has no certificates.
type noEndorser struct{}

func (noEndorser) Chains(context.Context, kds.Asker, *snp.Report, []byte) ([]attest.Chain, error) {
	return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate}
}

func (noEndorser) CheckRevocation(context.Context, *attest.Verified) error { return nil }

func newWorld(t testing.TB, db storetest.Database) *world {
	t.Helper()
	w := &world{t: t, store: db.Open(t)}
	kek, err := keyring.NewKEK(make([]byte, keyring.KEKSize))
	must(t, err)
	keys, err := keyring.Open(t.Context(), w.store, kek)
	must(t, err)
	w.sessions = access.NewSessions(w.store, keys.Lookup, time.Now)
	w.passwords = access.NewPasswords(w.store, kek, access.Params{Time: 1, Memory: 8, Threads: 1}, time.Now)
	w.password, err = w.passwords.Init(t.Context())
	must(t, err)
	w.secret = w.newSession()
	files, err := artifact.OpenFiles(t.TempDir())
	must(t, err)
	cache := w.store.KDSCache()
	client, err := kds.New(kds.Config{Offline: true, Cache: cache, Roots: attest.AMDRoots().ARKs})
	must(t, err)
	gate := access.NewGate(w.store, access.DefaultLimits(), time.Now)
	w.web, err = New(Config{
		Store: w.store, KDSCache: cache, Pace: api.DefaultLimits().Pace,
		Registry: registry.New(registry.Config{
			Store: w.store, Gate: gate, Artifacts: files, KEK: kek, Ingestion: keys.Ingestion, Identity: keys.Identity,
			Limits: registry.DefaultLimits(), Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		}),
		Accounts: &access.Accounts{
			Store: w.store, Gate: gate, Tokens: access.NewTokens(w.store, keys.Lookup, time.Now), Sessions: w.sessions, Passwords: w.passwords,
			Failures: access.NewFailures(time.Now),
		},
		Desk:     &oversight.Desk{Store: w.store, Gate: gate, KDS: client, KDSCache: cache},
		Verifier: attest.NewVerifier(attest.AMDRoots()), Endorser: noEndorser{},
		Info: wire.PublicInfo{CACertificate: keys.Authority.PEM()}, Status: wire.Status{Database: "sqlite"}, CRL: "strict",
		Certificate: func() (*x509.Certificate, error) { return keys.Authority.Certificate, nil }, CA: keys.Authority.Certificate,
		MaxUpload: 1 << 20, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	must(t, err)
	return w
}

// recorded returns the reasons of all records, oldest first: nothing is changed without one.
func (w *world) recorded() []audit.Reason {
	w.t.Helper()
	entries, err := w.store.ListAudit(w.t.Context(), store.AuditFilter{}, store.AuditRange{OldestFirst: true})
	must(w.t, err)
	var reasons []audit.Reason
	for _, e := range entries {
		reasons = append(reasons, e.Reason)
	}
	return reasons
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

// instance makes an instance of an image that has them from now on.
func (w *world) instance(image store.Image, name string) store.Instance {
	w.t.Helper()
	must(w.t, w.store.SetInstanceSettings(w.t.Context(), image.ID, storetest.Named()))
	made, err := w.store.CreateInstance(w.t.Context(), storetest.Instance(image.ID, name))
	must(w.t, err)
	return made
}

// ready makes an instance ready, at generation 5.
func (w *world) ready(release store.Release, id wire.UUID) {
	w.t.Helper()
	for _, state := range []wire.InstanceState{wire.StateClaimed, wire.StateReady} {
		_, err := w.store.RecordInstanceCall(w.t.Context(), store.InstanceCall{
			Nonce: store.Nonce{Hash: storetest.Hash(), Expires: time.Now().Add(time.Minute)}, Instance: id, Release: release.ID,
			Decide: func(facts store.InstanceFacts) (store.Instance, audit.Record) {
				i := *facts.Instance
				if i.State, i.Sealed = state, [32]byte{1}; state == wire.StateReady {
					i.Generation, i.ReadyAt, i.Recovery = 5, time.Now(), []byte("age file")
					i.Committed = store.Boot{ReportID: [32]byte{2}, BootKey: [32]byte{3}, Release: release.ID, Generation: 5, At: time.Now()}
				}
				return i, audit.Record{Outcome: audit.OutcomeDone, Reason: "instance.call", ImageID: i.Image, RequestID: "boot", Address: "192.0.2.9"}
			},
		})
		must(w.t, err)
	}
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
	if w.made.ID.IsZero() {
		w.made = w.instance(image, "web-1")
	}
	return strings.NewReplacer(":iid", w.made.ID.String(), ":id", image.ID.String(), ":rid", release.ID.String(), ":name", "vmlinuz", ":seq", "1")
}
