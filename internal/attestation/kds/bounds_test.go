package kds

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// nthKey is one of many keys.
func nthKey(n int) Key {
	return Key{Kind: KindVCEK, Product: snp.Milan, ChipID: [snp.ChipIDSize]byte{byte(n), byte(n >> 8)}}
}

// What is kept in memory does not grow with the chips that hosts claim to be.
func TestMemoryIsBounded(t *testing.T) {
	m := memo[int]{max: 10}
	f := failures{now: time.Now}
	for n := range maxFailures + 10 {
		m.put(nthKey(n), n)
		f.put(nthKey(n), ErrUnknownChip, time.Hour)
		if v, ok := m.get(nthKey(n)); !ok || v != n {
			t.Fatalf("lost %d", n)
		}
		if f.get(nthKey(n)) == nil {
			t.Fatalf("forgot %d", n)
		}
	}
	if len(m.values) > 10 || len(f.entries) > maxFailures {
		t.Errorf("%d values, %d failures", len(m.values), len(f.entries))
	}
}

// narrowGate lets one request at a time through in each lane.
func narrowGate(clock func() time.Time) *gate {
	return newGate(Pace{Parallel: 1}.withDefaults(), clock, sleep)
}

// After a refusal strangers wait twice as long as everybody else.
func TestStrangersWaitLonger(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	g := narrowGate(func() time.Time { return now })
	g.refused(time.Minute)
	for in := range lanes {
		want := g.next
		if in == laneUnknown {
			want = now.Add(2 * g.next.Sub(now))
		}
		if wait := g.reserve(in); wait != want.Sub(now) || wait <= 0 {
			t.Errorf("lane %d waits %s, want %s", in, wait, want.Sub(now))
		}
	}
	now = g.next
	if g.reserve(laneLists) != 0 || g.reserve(laneSeen) != 0 || g.reserve(laneUnknown) <= 0 {
		t.Error("strangers do not let the others go first")
	}
}

// While one lookup waits, KDS may tell another to wait for longer than the first
// has time.
func TestGateWhoseHoldGrows(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	slept := 0
	g := narrowGate(func() time.Time { return now })
	g.sleep = func(_ context.Context, d time.Duration) error {
		slept++
		now = now.Add(d)
		g.refused(5 * time.Minute)
		return nil
	}
	g.refused(10 * time.Second)
	if _, err := g.enter(t.Context(), laneSeen, now.Add(time.Minute)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want %v", err, ErrUnavailable)
	}
	if slept != 1 {
		t.Errorf("slept %d times, want once", slept)
	}
	if len(g.slots[laneSeen]) != 0 {
		t.Error("the slot is still taken")
	}
}

// Who has no time for the hold does not queue for a slot first.
func TestGateFailsWithoutQueueing(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	g := narrowGate(func() time.Time { return now })
	g.slots[laneSeen] <- struct{}{}
	g.refused(5 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.enter(ctx, laneSeen, now.Add(time.Minute))
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Who gives up while others ask, or while KDS wants to be left alone, leaves no
// slot taken.
func TestGateLeftEarly(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		prepare func(*gate, context.CancelFunc)
		taken   int
		says    string
	}{
		"all slots are taken": {func(g *gate, cancel context.CancelFunc) { g.slots[laneSeen] <- struct{}{}; cancel() }, 1, "wait for other requests"},
		"KDS has refused": {func(g *gate, cancel context.CancelFunc) {
			g.refused(10 * time.Second)
			g.sleep = func(ctx context.Context, d time.Duration) error { cancel(); return sleep(ctx, d) }
		}, 0, "wait before asking"},
	} {
		g := narrowGate(func() time.Time { return now })
		ctx, cancel := context.WithCancel(t.Context())
		tc.prepare(g, cancel)
		_, err := g.enter(ctx, laneSeen, now.Add(time.Minute))
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), tc.says) || len(g.slots[laneSeen]) != tc.taken {
			t.Errorf("%s: %v, %d slots taken", name, err, len(g.slots[laneSeen]))
		}
	}
}

// RFC 9110 has seconds and dates; a date of long ago is no wait either.
func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"17":                            17 * time.Second,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:59:59 GMT": -time.Second,
		"-1":                            0,
		"4294967296":                    0,
		"soon":                          0,
		"":                              0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: got %s, want %s", header, got, want)
		}
	}
}

func TestBackoffHasAnEnd(t *testing.T) {
	p := Pace{MaxBackoff: 17 * time.Second}.withDefaults()
	for n := range 200 {
		if d := p.backoff(n); d > 17*time.Second || n > 10 && d < 17*time.Second/2 {
			t.Fatalf("%s after %d failures", d, n)
		}
	}
}
