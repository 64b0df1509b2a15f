package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
)

// world is a service without its unlock pipeline, on HTTPS.
type world struct {
	t         *testing.T
	clock     *storetest.Clock
	db        storetest.Database
	store     *store.Store
	files     *artifacts
	keys      *keyring.Keyring
	password  string
	tokens    map[wire.Role]string
	api       *api.API
	server    *httptest.Server
	unlocker  *fakeUnlocker
	updater   *fakeUpdater
	booter    *fakeBooter
	log       *logBuffer
	documents *openAPI
}

// newWorld starts a service on SQLite. What change does to its configuration
// happens before.
func newWorld(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	return newWorldOn(t, storetest.SQLite(t), change...)
}

func newWorldOn(t *testing.T, db storetest.Database, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{
		t: t, clock: storetest.NewClock(0), db: db, files: newArtifacts(t), unlocker: &fakeUnlocker{}, updater: &fakeUpdater{}, booter: &fakeBooter{},
		tokens: make(map[wire.Role]string), log: &logBuffer{}, documents: loadOpenAPI(t),
	}
	w.store = db.Open(t, store.Options{Now: w.clock.Now, MaxConns: 8})
	kek, err := keyring.NewKEK(make([]byte, keyring.KEKSize))
	must(t, err)
	w.keys, err = keyring.Open(t.Context(), w.store, kek)
	must(t, err)
	passwords := access.NewPasswords(w.store, kek, access.Params{Time: 1, Memory: 8, Threads: 1}, w.clock.Now)
	w.password, err = passwords.Init(t.Context())
	must(t, err)
	tokens := access.NewTokens(w.store, []byte("lookup key"), w.clock.Now)
	for _, role := range []wire.Role{wire.RoleRead, wire.RoleRegister, wire.RoleApprove, wire.RoleAdmin} {
		_, w.tokens[role], err = tokens.Create(t.Context(), wire.TokenRequest{Name: string(role), Role: role, ExpiresIn: 30 * 86400})
		must(t, err)
	}
	logger := slog.New(slog.NewJSONHandler(w.log, nil))
	limits := api.DefaultLimits()
	limits.Attestation = limit.Rate{PerSecond: 1000, Burst: 1000}
	gate := access.NewGate(w.store, access.DefaultLimits(), w.clock.Now)
	often := limit.Rate{PerSecond: 1000, Burst: 1000}
	cfg := api.Config{
		Store: w.store,
		Registry: registry.New(registry.Config{
			Store: w.store, Gate: gate, Artifacts: w.files, KEK: kek, Ingestion: w.keys.Ingestion, Identity: w.keys.Identity,
			Limits: registry.DefaultLimits(), Log: logger,
		}),
		Accounts: &access.Accounts{
			Store: w.store, Gate: gate, Tokens: tokens, Sessions: access.NewSessions(w.store, []byte("lookup key"), w.clock.Now), Passwords: passwords,
			Failures: limit.New(often, often, w.clock.Now),
		},
		Desk:     &oversight.Desk{Store: w.store, Gate: gate},
		Unlocker: w.unlocker, Updater: w.updater, Booter: w.booter,
		Info:   publicInfo(w.keys),
		Status: wire.Status{Version: "v1.2.3", StartedAt: w.clock.Now(), Database: "sqlite"},
		Limits: limits, Log: logger, Now: w.clock.Now,
	}
	newKDS(t, &cfg)
	for _, c := range change {
		c(&cfg)
	}
	w.api = api.New(cfg)
	w.server = newServer(t, w.api, false)
	t.Cleanup(func() { w.log.check(t, w) })
	return w
}

func newServer(t *testing.T, handler http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.StartTLS()
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(server.Close)
	return server
}

func publicInfo(k *keyring.Keyring) wire.PublicInfo {
	identity, _ := k.Identity.Public().(ed25519.PublicKey)
	return wire.PublicInfo{
		Version: "v1.2.3", CACertificate: k.Authority.PEM(), CAFingerprint: strings.Repeat("0a", 32),
		IngestionKey: k.Ingestion.Public().Bytes(), IngestionKeyFingerprint: strings.Repeat("0b", 32),
		IdentityKey: identity, IdentityKeyFingerprint: strings.Repeat("0c", 32),
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeUnlocker does what a test says.
type fakeUnlocker struct {
	mu     sync.Mutex
	grant  *wire.Grant
	err    error
	doing  func()
	caller unlock.Caller
	calls  int
}

func (f *fakeUnlocker) Challenge() *wire.Challenge {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return &wire.Challenge{Nonce: make([]byte, wire.NonceSize), ExpiresIn: 60}
}

func (f *fakeUnlocker) Unlock(ctx context.Context, _ *wire.UnlockRequest, c unlock.Caller) (*wire.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.caller = c
	if f.doing != nil {
		f.doing()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.grant, f.err
}

// fakeUpdater does what a test says.
type fakeUpdater struct {
	mu       sync.Mutex
	answer   *wire.GuestAnswer
	err      error
	caller   unlock.Caller
	updates  int
	confirms int
	bundles  int
}

func (f *fakeUpdater) Update(_ context.Context, _ *wire.GuestCall, c unlock.Caller) (*wire.GuestAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updates, f.caller = f.updates+1, c
	return f.answer, f.err
}

func (f *fakeUpdater) Confirm(_ context.Context, _ *wire.GuestCall, c unlock.Caller) (*wire.GuestAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.confirms, f.caller = f.confirms+1, c
	return f.answer, f.err
}

func (f *fakeUpdater) Bundle(context.Context, []byte) (*update.Bundle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bundles++
	return nil, f.err
}

// fakeBooter does what a test says.
type fakeBooter struct {
	mu     sync.Mutex
	answer *wire.GuestAnswer
	err    error
	caller unlock.Caller
	calls  []string
}

func (f *fakeBooter) called(path string, c unlock.Caller) (*wire.GuestAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.caller = append(f.calls, path), c
	return f.answer, f.err
}

func (f *fakeBooter) Claim(_ context.Context, _ *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error) {
	return f.called(wire.PathClaim, c)
}

func (f *fakeBooter) Ready(_ context.Context, _ *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error) {
	return f.called(wire.PathReady, c)
}

func (f *fakeBooter) Commit(_ context.Context, _ *wire.BootCall, c unlock.Caller) (*wire.GuestAnswer, error) {
	return f.called(wire.PathCommit, c)
}

// logBuffer is the service's log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// check looks for secrets in the log of every test.
func (l *logBuffer) check(t *testing.T, w *world) {
	text := l.String()
	for _, secret := range append([]string{w.password, "snpg_", "snps_", "PRIVATE"}, w.tokens[wire.RoleAdmin]) {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// sealedKey is an unsealing key as a converter sends it.
func (w *world) sealedKey(image wire.UUID) []byte {
	w.t.Helper()
	key, err := seal.GenerateKey()
	must(w.t, err)
	data, err := key.Bytes()
	must(w.t, err)
	sealed, err := w.keys.Ingestion.Public().Seal(wire.UnsealingKeyInfo(image), data)
	must(w.t, err)
	return sealed
}

const minute = time.Minute
