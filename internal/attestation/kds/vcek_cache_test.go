package kds_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// What the cache returns is checked like an answer; what is damaged is reported
// and fetched again.
func TestDamagedCacheEntries(t *testing.T) {
	chip := milan("a")
	for name, data := range map[string]func(*testing.T, *world) []byte{
		"no certificate": func(*testing.T, *world) []byte { return []byte("x") },
		"other chip":     func(t *testing.T, w *world) []byte { return issued(t, w.amd, milan("b")) },
		"impostor":       func(t *testing.T, _ *world) []byte { return issued(t, simtest.Impostor(t), chip) },
		"bit flipped": func(t *testing.T, w *world) []byte {
			der := issued(t, w.amd, chip)
			der[len(der)-1] ^= 1
			return der
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.put(chipKey(t, chip), data(t, w))
			c := w.client()
			if _, err := vcek(t.Context(), c, chip); err != nil {
				t.Fatal(err)
			}
			w.wantRequests(1, "SPL")
			if !strings.Contains(w.log.String(), chipKey(t, chip).String()) {
				t.Errorf("not reported: %s", w.log)
			}
			if _, err := vcek(t.Context(), w.client(), chip); err != nil {
				t.Fatal(err)
			}
			w.wantRequests(1, "SPL")
		})
	}
}

func TestDamagedFileInCache(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.cache.Dir(), chipKey(t, milan("a")).String())
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vcek(t.Context(), w.client(), milan("a")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.log.String(), "damaged") {
		t.Errorf("not reported: %s", w.log)
	}
}

// An expired VCEK is replaced by the one that AMD has issued since.
func TestExpiredVCEKIsFetchedAgain(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	if _, err := vcek(t.Context(), c, milan("a")); err != nil {
		t.Fatal(err)
	}
	w.time.pass(7 * 366 * 24 * time.Hour)
	for name, c := range map[string]*kds.Client{"same client": c, "other client": w.client()} {
		cert, err := vcek(t.Context(), c, milan("a"))
		if err != nil || w.time.Now().After(cert.NotAfter) {
			t.Errorf("%s: got %v, %v", name, cert, err)
		}
	}
	w.wantRequests(2, "SPL")
}

// A disk that is full costs further requests later, not this verification.
func TestCacheThatCannotWrite(t *testing.T) {
	w := newWorld(t)
	c := w.client(func(cfg *kds.Config) { cfg.Cache = readOnly{w.cache} })
	for range 2 {
		if _, err := vcek(t.Context(), c, milan("a")); err != nil {
			t.Fatal(err)
		}
	}
	w.wantRequests(1, "SPL")
	if !strings.Contains(w.log.String(), "cannot be cached") {
		t.Errorf("not reported: %s", w.log)
	}
}

type readOnly struct{ kds.Cache }

func (readOnly) Put(context.Context, kds.Key, kds.Entry) error { return kds.ErrCacheFull }

// A storage that fails is not taken for an empty cache: KDS would pay for it.
func TestCacheThatCannotRead(t *testing.T) {
	w := newWorld(t)
	broken := errors.New("storage is gone")
	c := w.client(func(cfg *kds.Config) { cfg.Cache = unreadable{w.cache, broken} })
	if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	w.wantRequests(0, "")
}

type unreadable struct {
	kds.Cache
	err error
}

func (u unreadable) Get(context.Context, kds.Key) (kds.Entry, error) { return kds.Entry{}, u.err }
