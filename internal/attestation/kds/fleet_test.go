package kds_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

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
