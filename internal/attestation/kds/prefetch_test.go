package kds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// chips are keys of n chips of Milan.
func chips(t *testing.T, n int) []kds.Key {
	t.Helper()
	var keys []kds.Key
	for i := range n {
		keys = append(keys, chipKey(t, milan(fmt.Sprint(i))))
	}
	return keys
}

// prefetch runs a prefetch and returns how many entries had each outcome.
func prefetch(ctx context.Context, c *kds.Client, keys []kds.Key) (map[kds.Outcome]int, error) {
	outcomes := make(map[kds.Outcome]int)
	err := c.Prefetch(ctx, keys, func(p kds.Prefetched) {
		outcomes[p.Outcome]++
		if (p.Err != nil) != (p.Outcome == kds.OutcomeUnknown || p.Outcome == kds.OutcomeFailed) {
			outcomes["wrong error"]++
		}
	})
	return outcomes, err
}

func TestPrefetch(t *testing.T) {
	w := newWorld(t)
	gone := milan("1")
	w.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(c sim.Chip) bool { return c.ID == gone.ID } })
	got, err := prefetch(t.Context(), w.client(), chips(t, 5))
	if err != nil || got[kds.OutcomeFetched] != 4+2 || got[kds.OutcomeUnknown] != 1 || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	w.wantRequests(7, "") // with chain and CRL
	// The next run asks for what is missing only.
	got, err = prefetch(t.Context(), w.client(), chips(t, 6))
	if err != nil || got[kds.OutcomeCached] != 4+2 || got[kds.OutcomeUnknown] != 1 || got[kds.OutcomeFetched] != 1 {
		t.Errorf("second run: %v, %v", got, err)
	}
	w.wantRequests(9, "")
	// What was fetched is all that an air-gapped site needs.
	c := w.client(offline)
	if _, err := vcek(t.Context(), c, milan("5")); err != nil {
		t.Error(err)
	}
	if err := w.check(c); err != nil {
		t.Error(err)
	}
}

// The chain is in the cache, and in the export, even where the client knows it.
func TestPrefetchOfKnownChain(t *testing.T) {
	w := newWorld(t)
	if _, err := prefetch(t.Context(), w.client(known(w.amd), off), chips(t, 1)); err != nil {
		t.Fatal(err)
	}
	w.wantRequests(1, "cert_chain")
	w.wantRequests(0, "crl") // nobody wants to know about revocation
	if _, err := w.cache.Get(t.Context(), chainKey(t, snp.Milan, snp.SignedByVCEK)); err != nil {
		t.Error(err)
	}
}

func TestPrefetchKeepsPace(t *testing.T) {
	w := newWorld(t)
	c := w.client(func(cfg *kds.Config) { cfg.Pace.Interval, cfg.Pace.Parallel = 2*time.Second, 1 })
	if _, err := prefetch(t.Context(), c, chips(t, 3)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.time.sleeps()); got != "[2s 2s 2s 2s]" {
		t.Errorf("slept %s between 5 requests", got)
	}
}

// A prefetch does not go through ten thousand chips with a KDS that is down.
func TestPrefetchGivesUp(t *testing.T) {
	w := newWorld(t)
	if _, err := prefetch(t.Context(), w.client(), chips(t, 1)); err != nil {
		t.Fatal(err)
	}
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1<<30, http.StatusInternalServerError })
	c := w.client(func(cfg *kds.Config) { cfg.Pace.Parallel = 1 })
	got, err := prefetch(t.Context(), c, chips(t, 50))
	if !errors.Is(err, kds.ErrUnavailable) || got[kds.OutcomeFailed] < 3 || got[kds.OutcomeFailed] > 4 {
		t.Errorf("got %v, %v", got, err)
	}
	w.server.Close()
	if _, err := prefetch(t.Context(), w.client(), []kds.Key{turinKey(t)}); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("no chain: got %v, want %v", err, kds.ErrUnavailable)
	}
}

func turinKey(t *testing.T) kds.Key {
	t.Helper()
	return chipKey(t, sim.NewChip(snp.Turin, "a", snp.TCB{FMC: 1}))
}

// Chips that KDS fails for now and then are not a KDS that is down.
func TestPrefetchGoesOnBetweenFailures(t *testing.T) {
	w := newWorld(t)
	keys := chips(t, 8)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for i := range keys {
			if i%2 == 1 && r.URL.Path == fmt.Sprintf("/vcek/v1/Milan/%x", keys[i].ChipID) {
				http.Error(rw, "", http.StatusInternalServerError)
				return
			}
		}
		w.kds.ServeHTTP(rw, r)
	}))
	defer server.Close()
	c := w.client(func(cfg *kds.Config) { cfg.BaseURL, cfg.Pace.Parallel = server.URL, 1 })
	got, err := prefetch(t.Context(), c, keys)
	if err != nil || got[kds.OutcomeFailed] != 4 || got[kds.OutcomeFetched] != 4+2 {
		t.Errorf("got %v, %v", got, err)
	}
}

// One chip that KDS stumbles over does not stop the others.
func TestPrefetchGoesOnAfterAFailure(t *testing.T) {
	w := newWorld(t)
	keys := chips(t, 6)
	bad := []kds.Key{keys[1], keys[3], keys[5]}
	w.kds.Set(func(b *sim.Behaviour) {
		b.Tamper = func(path string, body []byte) []byte {
			for _, k := range bad {
				if path == fmt.Sprintf("/vcek/v1/Milan/%x", k.ChipID) {
					return []byte("x")
				}
			}
			return body
		}
	})
	got, err := prefetch(t.Context(), w.client(), keys)
	if err != nil || got[kds.OutcomeFailed] != 3 || got[kds.OutcomeFetched] != 3+2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPrefetchIsBrokenOff(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := w.client(func(cfg *kds.Config) { cfg.Pace.Parallel = 1 })
	seen := 0
	err := c.Prefetch(ctx, chips(t, 50), func(kds.Prefetched) {
		if seen++; seen == 5 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || seen > 7 {
		t.Errorf("got %v after %d results", err, seen)
	}
	got, err := prefetch(t.Context(), w.client(), chips(t, 3))
	if err != nil || got[kds.OutcomeCached] != 3+2 {
		t.Errorf("taken up again: %v, %v", got, err)
	}
}

func TestPrefetchWantsVCEKs(t *testing.T) {
	w := newWorld(t)
	keys := slices.Concat(chips(t, 1), []kds.Key{chainKey(t, snp.Milan, snp.SignedByVCEK)})
	if _, err := prefetch(t.Context(), w.client(), keys); err == nil {
		t.Error("prefetched a chain as a VCEK")
	}
}
