package kds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// budgetWorld has a chip "rack 1" that was seen before, and KDS knows no chip whose
// name begins with "forged".
type budgetWorld struct {
	*world
	seen    sim.Chip
	mu      sync.Mutex
	refused map[string]int
}

func newBudgetWorld(t *testing.T) *budgetWorld {
	w := &budgetWorld{world: newWorld(t), seen: milan("rack 1"), refused: make(map[string]int)}
	forged := make(map[[snp.ChipIDSize]byte]bool)
	for i := range 500 {
		forged[milan(forgery(i)).ID] = true
	}
	w.kds.Set(func(b *sim.Behaviour) { b.Unknown = func(c sim.Chip) bool { return forged[c.ID] } })
	return w
}

func forgery(i int) string { return fmt.Sprintf("forged %d", i) }

func (w *budgetWorld) client(change ...func(*kds.Config)) *kds.Client {
	w.t.Helper()
	return w.world.client(append([]func(*kds.Config){known(w.amd), func(cfg *kds.Config) {
		cfg.Seen = func(_ context.Context, key kds.Key) (bool, error) { return key.ChipID == w.seen.ID, nil }
		cfg.Refused = func(name string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused[name]++
		}
	}}, change...)...)
}

func from(block string) kds.Asker { return kds.Asker{Block: block} }

// at returns a chip at another TCB version.
func at(chip sim.Chip, microcode int) sim.Chip {
	chip.TCB.Microcode = uint8(microcode)
	return chip
}

// wantVCEK fails unless the certificate comes.
func (w *budgetWorld) wantVCEK(c *kds.Client, asker kds.Asker, chip sim.Chip) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := vcekFor(ctx, c, asker, chip); err != nil {
		w.t.Errorf("%+v is refused a certificate: %v", asker, err)
	}
}

func (w *budgetWorld) wantBudget(c *kds.Client, asker kds.Asker, chip sim.Chip) {
	w.t.Helper()
	_, err := vcekFor(w.t.Context(), c, asker, chip)
	if !errors.Is(err, kds.ErrBudget) || !errors.Is(err, kds.ErrUnavailable) {
		w.t.Errorf("%+v: got %v, want %v", asker, err, kds.ErrBudget)
	}
}

// TestFloodOfForgedChips shows five hundred chips that do not exist, from one
// address. KDS sees twenty requests, and everybody else gets what they need.
func TestFloodOfForgedChips(t *testing.T) {
	w := newBudgetWorld(t)
	c := w.client()
	attacker := from("192.0.2.66")
	for i := range 500 {
		if _, err := vcekFor(t.Context(), c, attacker, milan(forgery(i))); err == nil {
			t.Fatal("a forged chip has a certificate")
		}
	}
	w.wantRequests(20, "/vcek/v1/Milan/")
	if w.refused[kds.BudgetUnknown] != 480 {
		t.Errorf("refused %v", w.refused)
	}
	w.wantVCEK(c, from("192.0.2.1"), milan("a new host at another address"))
	w.wantVCEK(c, from("192.0.2.1"), w.seen)
	w.wantVCEK(c, attacker, at(w.seen, 116))
	w.wantVCEK(c, kds.Operator(), milan("what the operator wants"))
	if _, err := c.CRL(t.Context(), snp.Milan, snp.SignedByVCEK); err != nil {
		t.Errorf("no revocation list: %v", err)
	}
	w.wantBudget(c, attacker, milan("a new host at the attacker's address"))
	w.time.pass(5 * time.Second)
	w.wantVCEK(c, attacker, milan("a new host at the attacker's address"))
}

// TestFloodFromManyAddresses has each forged chip come from another address. What
// all strangers have together is used up, and what was seen before gets through.
func TestFloodFromManyAddresses(t *testing.T) {
	w := newBudgetWorld(t)
	c := w.client()
	for i := range 500 {
		if _, err := vcekFor(t.Context(), c, from(fmt.Sprint(i)), milan(forgery(i))); err == nil {
			t.Fatal("a forged chip has a certificate")
		}
	}
	w.wantRequests(60, "/vcek/v1/Milan/")
	w.wantBudget(c, from("192.0.2.1"), milan("a new host"))
	w.wantVCEK(c, from("192.0.2.1"), w.seen)
	if _, err := c.CRL(t.Context(), snp.Milan, snp.SignedByVCEK); err != nil {
		t.Errorf("no revocation list: %v", err)
	}
}

// TestFloodOfForgedTCBs shows a chip that exists at ever other TCB versions: each
// would be a request, and an entry of the cache.
func TestFloodOfForgedTCBs(t *testing.T) {
	w := newBudgetWorld(t)
	c := w.client()
	for i := range 100 {
		_, _ = vcekFor(t.Context(), c, from("192.0.2.66"), at(w.seen, i))
	}
	w.wantRequests(5, "/vcek/v1/Milan/")
	w.wantVCEK(c, from("192.0.2.1"), at(w.seen, 200))
	for i := range 100 {
		_, _ = vcekFor(t.Context(), c, from(fmt.Sprint(i)), at(w.seen, 100+i))
	}
	w.wantRequests(10, "/vcek/v1/Milan/")
	if w.refused[kds.BudgetSeen] == 0 || w.refused[kds.BudgetChip] == 0 {
		t.Errorf("refused %v", w.refused)
	}
	w.wantVCEK(c, from("192.0.2.66"), milan("another chip"))
	w.wantVCEK(c, from("192.0.2.66"), at(w.seen, 200)) // it is cached
}

// TestSlowKDSForStrangers has KDS never answer for forged chips. Requests of the
// other lanes do not wait for theirs.
func TestSlowKDSForStrangers(t *testing.T) {
	w := newBudgetWorld(t)
	over := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(over)
	asked := make(chan struct{}, 20)
	w.kds.Set(func(b *sim.Behaviour) {
		b.Unknown = nil
		b.Before = func(r *http.Request) {
			if strings.Contains(r.URL.RawQuery, "ucodeSPL=07") {
				asked <- struct{}{}
				<-over
			}
		}
	})
	c := w.client()
	for i := range 10 {
		wait.Go(func() { _, _ = vcekFor(t.Context(), c, from("192.0.2.66"), at(milan(fmt.Sprint("slow ", i)), 7)) })
	}
	<-asked
	<-asked // the lane of strangers is full
	w.wantVCEK(c, from("192.0.2.1"), w.seen)
	if _, err := c.CRL(t.Context(), snp.Milan, snp.SignedByVCEK); err != nil {
		t.Errorf("no revocation list: %v", err)
	}
}

// TestOneRequestIsPaidOnce has many guests of one chip wait for one request, among
// them one whose address has nothing left.
func TestOneRequestIsPaidOnce(t *testing.T) {
	w := newBudgetWorld(t)
	over, asked := make(chan struct{}), make(chan struct{}, 1)
	w.kds.Set(func(b *sim.Behaviour) {
		b.Before = func(r *http.Request) {
			if strings.Contains(r.URL.RawQuery, "ucodeSPL=") {
				asked <- struct{}{}
				<-over
			}
		}
	})
	c := w.client(func(cfg *kds.Config) { cfg.Budget.Unknown = limit.Rate{PerSecond: 1e-9, Burst: 1} })
	chip := milan("new")
	var wait sync.WaitGroup
	wait.Go(func() { w.wantVCEK(c, from("192.0.2.1"), chip) })
	<-asked
	for range 20 {
		wait.Go(func() { w.wantVCEK(c, from("192.0.2.1"), chip) })
	}
	w.wantBudget(c, from("192.0.2.1"), milan("another"))
	for tries := 0; c.Waiting(chipKey(t, chip)) < 21 && tries < 5000; tries++ {
		time.Sleep(time.Millisecond)
	}
	close(over)
	wait.Wait()
	w.wantRequests(1, "ucodeSPL=")
	if c.Waiting(chipKey(t, chip)) != 0 {
		t.Error("somebody still waits")
	}
}

// TestCachedChipsCostNothing asks for a cached chip with nothing left.
func TestCachedChipsCostNothing(t *testing.T) {
	w := newBudgetWorld(t)
	chip := milan("cached")
	if _, err := vcek(t.Context(), w.client(), chip); err != nil {
		t.Fatal(err)
	}
	c := w.client(func(cfg *kds.Config) {
		cfg.Budget.Unknown = limit.Rate{PerSecond: 1e-9, Burst: 1}
		cfg.Seen = func(context.Context, kds.Key) (bool, error) { return false, errors.New("nobody may ask") }
	})
	w.wantVCEK(c, from("192.0.2.1"), chip)
}

// TestSeenThatFails cannot tell whether a chip was seen: nothing is fetched.
func TestSeenThatFails(t *testing.T) {
	w := newBudgetWorld(t)
	broken := errors.New("database is down")
	c := w.client(func(cfg *kds.Config) {
		cfg.Seen = func(context.Context, kds.Key) (bool, error) { return true, broken }
	})
	if _, err := vcekFor(t.Context(), c, from("192.0.2.1"), milan("a")); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	w.wantRequests(0, "ucodeSPL=")
}
