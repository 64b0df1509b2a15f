package access_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// guesser sends wrong passwords and counts what becomes of them.
type guesser struct {
	passwords *access.Passwords
	sealer    *watchedSealer
	locked    int
}

func (w *world) newGuesser() *guesser {
	s := &watchedSealer{Sealer: w.kek}
	return &guesser{passwords: access.NewPasswords(w.store, s, cheap(), w.clock.Now), sealer: s}
}

func (g *guesser) guess(t *testing.T, address string) {
	t.Helper()
	err := g.passwords.Check(t.Context(), address, "wrong")
	var locked *access.LockedError
	switch {
	case errors.As(err, &locked):
		if locked.RetryAfter <= 0 || locked.RetryAfter > 15*time.Minute {
			t.Fatalf("try again in %s", locked.RetryAfter)
		}
		g.locked++
	case !errors.Is(err, access.ErrWrongPassword):
		t.Fatal(err)
	}
}

// TestGuessing sends ten thousand wrong passwords in ten thousand seconds: from
// one address, from as many as there are guesses, and from a few. The owner's
// right one is looked at once it is over, or meanwhile from elsewhere where one
// address alone is locked.
func TestGuessing(t *testing.T) {
	const guesses, windows = 10_000, 10_000/900 + 1
	for name, tc := range map[string]struct {
		address   func(i int) string
		most      int64
		meanwhile bool
	}{
		"one address":    {func(int) string { return "192.0.2.1" }, 10 * windows, true},
		"many addresses": {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i) }, 300 * windows, false},
		"five addresses": {func(i int) string { return fmt.Sprintf("192.0.2.%d", i%5) }, 5 * 10 * windows, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			password := w.setPassword(t)
			g := w.newGuesser()
			for i := range guesses {
				g.guess(t, tc.address(i))
				w.clock.Advance(time.Second)
			}
			if n := g.sealer.opened.Load(); n > tc.most || n == 0 || int(n)+g.locked != guesses {
				t.Errorf("%d passwords were looked at, at most %d should be; %d were not", n, tc.most, g.locked)
			}
			if tc.meanwhile {
				w.clock.Advance(10 * time.Second)
			} else {
				w.clock.Advance(15 * time.Minute)
			}
			if err := g.passwords.Check(t.Context(), "198.51.100.7", password); err != nil {
				t.Errorf("the right password: %v", err)
			}
		})
	}
}

// TestGuessingAtOnce sends them side by side, through two replicas.
func TestGuessingAtOnce(t *testing.T) {
	w := newWorld(t)
	w.setPassword(t)
	one, two := w.newGuesser(), w.newGuesser()
	var wg sync.WaitGroup
	for i := range 200 {
		g := []*guesser{one, two}[i%2]
		wg.Go(func() {
			var locked *access.LockedError
			err := g.passwords.Check(t.Context(), "192.0.2.1", "wrong")
			if !errors.Is(err, access.ErrWrongPassword) && !errors.As(err, &locked) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := one.sealer.opened.Load() + two.sealer.opened.Load(); n > 10 || n == 0 {
		t.Errorf("%d passwords were looked at", n)
	}
}

// TestReplicasCountTogether lets the clock run, so that no delay of one process
// stands in the way.
func TestReplicasCountTogether(t *testing.T) {
	w := newWorld(t)
	w.setPassword(t)
	looked := int64(0)
	for range 40 {
		g := w.newGuesser() // a process that knows nothing of those before
		g.guess(t, "192.0.2.1")
		looked += g.sealer.opened.Load()
		w.clock.Advance(time.Second)
	}
	if looked != 10 {
		t.Errorf("%d passwords were looked at, want 10", looked)
	}
}

// TestDelaysGrow measures the time between two guesses that are looked at.
func TestDelaysGrow(t *testing.T) {
	w := newWorld(t)
	w.setPassword(t)
	g := w.newGuesser()
	var gaps []time.Duration
	last := w.clock.Now()
	for len(gaps) < 9 {
		before := g.sealer.opened.Load()
		g.guess(t, "192.0.2.1")
		if g.sealer.opened.Load() > before {
			gaps = append(gaps, w.clock.Now().Sub(last))
			last = w.clock.Now()
			continue
		}
		w.clock.Advance(time.Second)
	}
	want := []time.Duration{0, 0, 0, 1, 2, 4, 8, 16, 32}
	for i, d := range gaps {
		if d != want[i]*time.Second {
			t.Errorf("guess %d after %s, want %ds", i+1, d, want[i])
		}
	}
}

// TestRightPasswordForgives mixes typing errors with logins.
func TestRightPasswordForgives(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	g := w.newGuesser()
	for range 12 {
		g.guess(t, "192.0.2.1")
		g.guess(t, "192.0.2.1")
		if err := g.passwords.Check(t.Context(), "192.0.2.1", password); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(10 * time.Second)
	}
}
