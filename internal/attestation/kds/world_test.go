package kds_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// world is a simulated AMD with its KDS on loopback, a cache directory, and time
// that passes only when somebody sleeps.
type world struct {
	t      *testing.T
	amd    *sim.AMD
	kds    *sim.KDS
	server *httptest.Server
	cache  *kds.FileCache
	time   *fakeTime
	log    *syncBuffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := &fakeTime{now: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)}
	w := &world{t: t, amd: simtest.AMD(t).WithClock(clock.Now), time: clock, log: &syncBuffer{}}
	w.kds = sim.NewKDS(w.amd)
	w.server = httptest.NewServer(w.kds)
	t.Cleanup(w.server.Close)
	w.cache = openFileCache(t, t.TempDir())
	return w
}

// client returns a new client, as another process would have it.
func (w *world) client(change ...func(*kds.Config)) *kds.Client {
	w.t.Helper()
	cfg := kds.Config{
		BaseURL: w.server.URL, Cache: w.cache, Roots: rootsOf(w.amd),
		Clock: w.time.Now, Sleep: w.time.Sleep, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	c, err := kds.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	// A lookup that nobody waits for any more still writes to the cache.
	w.t.Cleanup(c.Close)
	return c
}

func rootsOf(amds ...*sim.AMD) func(snp.Product) []*x509.Certificate {
	return func(p snp.Product) (roots []*x509.Certificate) {
		for _, a := range amds {
			roots = append(roots, a.Line(p).ARK.Certificate)
		}
		return roots
	}
}

// known makes the ASKs of an AMD known without asking.
func known(amd *sim.AMD) func(*kds.Config) {
	return func(cfg *kds.Config) {
		cfg.Known = func(p snp.Product, signer snp.SigningKey) []*x509.Certificate {
			if signer == snp.SignedByVLEK {
				return []*x509.Certificate{amd.Line(p).ASVK.Certificate}
			}
			return []*x509.Certificate{amd.Line(p).ASK.Certificate}
		}
	}
}

func offline(cfg *kds.Config) { cfg.Offline = true }

// requests returns the requests to KDS so far whose URL has the part in it.
func (w *world) requests(part string) (urls []string) {
	for _, r := range w.kds.Requests() {
		if strings.Contains(r, part) {
			urls = append(urls, r)
		}
	}
	return urls
}

func (w *world) wantRequests(n int, part string) {
	w.t.Helper()
	if got := w.requests(part); len(got) != n {
		w.t.Errorf("%d requests with %q, want %d: %q", len(got), part, n, got)
	}
}

// vcek is Client.VCEK for a simulated chip and the operator.
func vcek(ctx context.Context, c *kds.Client, chip sim.Chip) (*x509.Certificate, error) {
	return vcekFor(ctx, c, kds.Operator(), chip)
}

func vcekFor(ctx context.Context, c *kds.Client, asker kds.Asker, chip sim.Chip) (*x509.Certificate, error) {
	key, err := kds.VCEKKey(chip.Product, chip.ID, chip.TCB)
	if err != nil {
		return nil, err
	}
	return c.VCEK(ctx, asker, key)
}

func milan(name string) sim.Chip {
	return sim.NewChip(snp.Milan, name, snp.TCB{BootLoader: 3, SNP: 8, Microcode: 115})
}

// chipKey is the key of the chip's VCEK.
func chipKey(t *testing.T, chip sim.Chip) kds.Key {
	t.Helper()
	key, err := kds.VCEKKey(chip.Product, chip.ID, chip.TCB)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *world) put(key kds.Key, data []byte) {
	w.t.Helper()
	if err := w.cache.Put(w.t.Context(), key, kds.Entry{Data: data, FetchedAt: w.time.Now()}); err != nil {
		w.t.Fatal(err)
	}
}

// fakeTime is a clock that sleepers push on.
type fakeTime struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (f *fakeTime) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeTime) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeTime) Sleep(ctx context.Context, d time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	f.slept = append(f.slept, d)
	return ctx.Err()
}

func (f *fakeTime) sleeps() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.slept)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
