package kds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// A KDS that asks for patience gets it and is asked again.
func TestRetries(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			w := newWorld(t)
			w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 3, status })
			if _, err := vcek(t.Context(), w.client(known(w.amd)), milan("a")); err != nil {
				t.Fatal(err)
			}
			w.wantRequests(4, "")
			checkBackoff(t, w.time.sleeps(), time.Second, 2*time.Second, 4*time.Second)
		})
	}
}

// checkBackoff wants waits of between half and all of each time.
func checkBackoff(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("slept %v, want up to %v", got, want)
	}
	for i, d := range got {
		if d < want[i]/2 || d > want[i] {
			t.Errorf("slept %v, want up to %v", got, want)
		}
	}
}

func TestBackoffIsBounded(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 7, http.StatusInternalServerError })
	c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.Pace.Attempts, cfg.Pace.Timeout = 8, time.Hour })
	if _, err := vcek(t.Context(), c, milan("a")); err != nil {
		t.Fatal(err)
	}
	s := time.Second
	checkBackoff(t, w.time.sleeps(), s, 2*s, 4*s, 8*s, 16*s, 30*s, 30*s)
}

// A lookup does not begin a wait that it has no time for.
func TestBackoffEndsWithTheLookup(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1000, http.StatusInternalServerError })
	c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.Pace.Attempts, cfg.Pace.Timeout = 100, 10*time.Second })
	begin := w.time.Now()
	if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, kds.ErrUnavailable)
	}
	if took := w.time.Now().Sub(begin); took > 10*time.Second {
		t.Errorf("the lookup took %s", took)
	}
}

// After an answer the next refusal is the first again.
func TestAnswerEndsTheRowOfRefusals(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd))
	for _, name := range []string{"a", "b"} {
		w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 2, http.StatusTooManyRequests })
		if _, err := vcek(t.Context(), c, milan(name)); err != nil {
			t.Fatal(err)
		}
	}
	checkBackoff(t, w.time.sleeps(), time.Second, 2*time.Second, time.Second, 2*time.Second)
}

func TestAttemptsEnd(t *testing.T) {
	for _, status := range []int{429, 500} {
		w := newWorld(t)
		w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1000, status })
		c := w.client(known(w.amd))
		for range 3 { // the failure is remembered
			if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrUnavailable) {
				t.Fatalf("status %d: got %v, want %v", status, err, kds.ErrUnavailable)
			}
		}
		w.wantRequests(4, "")
		w.time.pass(time.Minute)
		_, _ = vcek(t.Context(), c, milan("a"))
		if got := len(w.requests("")); got <= 4 || got > 8 {
			t.Errorf("status %d: %d requests after two lookups of up to 4", status, got)
		}
	}
}

func TestConnectionRefused(t *testing.T) {
	w := newWorld(t)
	w.server.Close()
	if _, err := vcek(t.Context(), w.client(known(w.amd)), milan("a")); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, kds.ErrUnavailable)
	}
	checkBackoff(t, w.time.sleeps(), time.Second, 2*time.Second, 4*time.Second)
}

func TestRetryAfterIsObeyed(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus, b.RetryAfter = 1, 429, 17*time.Second })
	if _, err := vcek(t.Context(), w.client(known(w.amd)), milan("a")); err != nil {
		t.Fatal(err)
	}
	if got := w.time.sleeps(); len(got) != 1 || got[0] < 17*time.Second || got[0] > 18*time.Second {
		t.Errorf("slept %v, want 17 to 18 s", got)
	}
}

// A wait that is longer than the lookup may take ends it at once, and no other
// lookup asks before the time is over; but a KDS cannot demand for ever.
func TestLongRetryAfter(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus, b.RetryAfter = 1, 429, 365*24*time.Hour })
	c := w.client(known(w.amd))
	for i := range 20 {
		if _, err := vcek(t.Context(), c, milan(fmt.Sprint(i))); !errors.Is(err, kds.ErrUnavailable) {
			t.Fatalf("got %v, want %v", err, kds.ErrUnavailable)
		}
	}
	w.wantRequests(1, "")
	if got := w.time.sleeps(); len(got) != 0 {
		t.Errorf("slept %v", got)
	}
	w.time.pass(10*time.Minute + time.Second)
	if _, err := vcek(t.Context(), c, milan("0")); err != nil {
		t.Error(err)
	}
}

// A KDS, or who poses as one, cannot send the client elsewhere.
func TestRedirectsAreRefused(t *testing.T) {
	w := newWorld(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer server.Close()
	for name, h := range map[string]*http.Client{"own client": nil, "given client": server.Client()} {
		c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.BaseURL, cfg.HTTP = server.URL, h })
		if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, kds.ErrAnswer) {
			t.Errorf("%s: got %v, want %v", name, err, kds.ErrAnswer)
		}
	}
}

// Statuses that waiting does not change are not tried again.
func TestStatusesThatAreFinal(t *testing.T) {
	for _, status := range []int{201, 204, 400, 401, 403} {
		w := newWorld(t)
		w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1000, status })
		if _, err := vcek(t.Context(), w.client(known(w.amd)), milan("a")); !errors.Is(err, kds.ErrAnswer) {
			t.Errorf("status %d: got %v, want %v", status, err, kds.ErrAnswer)
		}
		w.wantRequests(1, "")
	}
}

// A server that never answers, and one that never stops.
func TestSlowAndEndlessAnswers(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, kds.ErrUnavailable},
		"stalls": {func(rw http.ResponseWriter, r *http.Request) {
			rw.Write([]byte("x")) //nolint:errcheck // the client leaves
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}, kds.ErrUnavailable},
		"endless": {func(rw http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := rw.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, kds.ErrAnswer},
		"endless header": {func(rw http.ResponseWriter, _ *http.Request) {
			for i := range 3 {
				rw.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 32<<10))
			}
		}, kds.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.serve)
			defer server.Close()
			c := w.client(known(w.amd), func(cfg *kds.Config) {
				cfg.BaseURL, cfg.Pace.RequestTimeout, cfg.Pace.Attempts = server.URL, 100*time.Millisecond, 1
				if errors.Is(tc.want, kds.ErrAnswer) {
					cfg.Pace.RequestTimeout = time.Minute
				}
			})
			if _, err := vcek(t.Context(), c, milan("a")); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// Without a fake clock, a lookup still ends when its time is over.
func TestLookupTimesOut(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Before = func(r *http.Request) { <-r.Context().Done() } })
	c := w.client(known(w.amd), func(cfg *kds.Config) {
		cfg.Pace.Timeout, cfg.Clock, cfg.Sleep = 50*time.Millisecond, nil, nil
	})
	if _, err := vcek(context.Background(), c, milan("a")); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, kds.ErrUnavailable)
	}
}
