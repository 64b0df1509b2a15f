package kds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
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

// Many guests on many chips while KDS limits the rate: no more than the allowed
// requests, plus those in flight, in any window.
func TestFleetNeverHammers(t *testing.T) {
	w := newWorld(t)
	const limit, window = 3, 10 * time.Second
	var mu sync.Mutex
	var times []time.Time
	w.kds.Set(func(b *sim.Behaviour) {
		b.Limit, b.Window = limit, window
		b.Before = func(*http.Request) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, w.time.Now())
		}
	})
	c := w.client(known(w.amd))
	var done sync.WaitGroup
	for i := range 60 {
		done.Go(func() {
			_, err := vcek(t.Context(), c, milan(fmt.Sprint(i)))
			if err != nil && !errors.Is(err, kds.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	done.Wait()
	mu.Lock()
	defer mu.Unlock()
	for i := range times {
		if j := i + limit + 2; j < len(times) && times[j].Sub(times[i]) < window {
			t.Fatalf("requests %d to %d came within %s", i, j, times[j].Sub(times[i]))
		}
	}
	if len(times) <= limit+2 {
		t.Errorf("only %d requests: the fleet starves", len(times))
	}
}

// A KDS that refuses everything sees ever fewer requests.
func TestRefusalsHoldEverybodyBack(t *testing.T) {
	w := newWorld(t)
	w.kds.Set(func(b *sim.Behaviour) { b.Fail, b.FailStatus = 1<<30, 429 })
	c := w.client(known(w.amd))
	begin := w.time.Now()
	for i := range 100 {
		_, _ = vcek(t.Context(), c, milan(fmt.Sprint(i)))
	}
	// Back-off ends at 30 s, of which half is sure.
	most := 10 + int(w.time.Now().Sub(begin)/(15*time.Second))
	if got := len(w.requests("")); got > most {
		t.Errorf("%d requests in %s", got, w.time.Now().Sub(begin))
	}
}

func TestParallelRequestsAreBounded(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	now, most := 0, 0
	w.kds.Set(func(b *sim.Behaviour) {
		b.Before = func(*http.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
		}
	})
	c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.Pace.Parallel = 3 })
	var done sync.WaitGroup
	for i := range 30 {
		done.Go(func() {
			if _, err := vcek(t.Context(), c, milan(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if most > 3 {
		t.Errorf("%d requests at a time, want 3 at most", most)
	}
}

func TestInterval(t *testing.T) {
	w := newWorld(t)
	c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.Pace.Interval = 5 * time.Second })
	for i := range 3 {
		if _, err := vcek(t.Context(), c, milan(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(w.time.sleeps()); got != "[5s 5s]" {
		t.Errorf("slept %s", got)
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
