package access_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
	_, err := g.passwords.Check(t.Context(), address, "wrong")
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
		"many addresses": {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::/64", i) }, 30 + 10 + guesses/10, false}, // 30 freely, then one in 10 s
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
			if _, err := g.passwords.Check(t.Context(), "198.51.100.7", password); err != nil {
				t.Errorf("the right password: %v", err)
			}
		})
	}
}

// TestGuessingAtOnce sends them side by side, to as many processes that know
// nothing of each other.
func TestGuessingAtOnce(t *testing.T) {
	w := newWorld(t)
	w.setPassword(t)
	var wg sync.WaitGroup
	var looked atomic.Int64
	for range 60 {
		wg.Go(func() {
			g := w.newGuesser()
			var locked *access.LockedError
			_, err := g.passwords.Check(t.Context(), "192.0.2.1", "wrong")
			if !errors.Is(err, access.ErrWrongPassword) && !errors.As(err, &locked) {
				t.Error(err)
			}
			looked.Add(g.sealer.opened.Load())
		})
	}
	wg.Wait()
	if n := looked.Load(); n > 10 || n == 0 {
		t.Errorf("%d passwords were looked at", n)
	}
}

// TestReplicasCountTogether asks a new process each time, which knows nothing of
// those before: from one address, and from ever other ones.
func TestReplicasCountTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		guesses int
		address func(i int) string
		want    int64
		locked  bool // everyone
	}{
		"one address":    {400, func(int) string { return "192.0.2.1" }, 10, false},
		"many addresses": {400, func(i int) string { return fmt.Sprintf("192.0.%d.%d", i/250, i%250) }, 300, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			password := w.setPassword(t)
			looked := int64(0)
			for i := range tc.guesses {
				g := w.newGuesser()
				g.guess(t, tc.address(i))
				looked += g.sealer.opened.Load()
				w.clock.Advance(time.Second)
			}
			if looked != tc.want {
				t.Errorf("%d passwords were looked at, want %d", looked, tc.want)
			}
			if _, err := w.passwords.Check(t.Context(), "198.51.100.7", password); (err != nil) != tc.locked {
				t.Errorf("the right password: %v", err)
			}
		})
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
	// After a while without any, all begins anew.
	w.clock.Advance(15 * time.Minute)
	before := g.sealer.opened.Load()
	for range 3 {
		g.guess(t, "192.0.2.1")
	}
	if n := g.sealer.opened.Load() - before; n != 3 {
		t.Errorf("%d of 3 guesses were looked at", n)
	}
}

// TestOwnerUnderAttack gives the right password whenever it may, while others
// take every chance before: the owner's own delay does not grow.
func TestOwnerUnderAttack(t *testing.T) {
	w := newWorld(t)
	password := w.setPassword(t)
	g := w.newGuesser()
	for i := range 100 {
		g.guess(t, fmt.Sprintf("192.0.2.%d", i))
	}
	for i := range 60 {
		w.clock.Advance(10 * time.Second)
		g.guess(t, fmt.Sprintf("198.51.100.%d", i))
		var locked *access.LockedError
		if _, err := g.passwords.Check(t.Context(), "203.0.113.1", password); !errors.As(err, &locked) || locked.RetryAfter > 10*time.Second {
			t.Fatalf("attempt %d: %v", i, err)
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
		if _, err := g.passwords.Check(t.Context(), "192.0.2.1", password); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(10 * time.Second)
	}
}
