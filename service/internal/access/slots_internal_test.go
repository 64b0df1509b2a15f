package access

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestHashesAtOnce fills all places for hashes: the next one waits, and gives up
// with its request.
func TestHashesAtOnce(t *testing.T) {
	p := NewPasswords(nil, nil, DefaultParams(), time.Now)
	release, running := make(chan struct{}), make(chan struct{})
	for range parallelHashes {
		go func() {
			_ = p.inSlot(context.Background(), func() { running <- struct{}{}; <-release })
		}()
		<-running
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hashed := false
	if err := p.inSlot(ctx, func() { hashed = true }); !errors.Is(err, context.Canceled) || hashed {
		t.Errorf("got %v, hashed: %t", err, hashed)
	}
	close(release)
	if err := p.inSlot(t.Context(), func() { hashed = true }); err != nil || !hashed {
		t.Errorf("got %v, hashed: %t", err, hashed)
	}
}

// TestDelaysForget fills the memory for addresses and lets them grow old.
func TestDelaysForget(t *testing.T) {
	now := time.Now()
	d := newDelays(func() time.Time { return now }, time.Minute)
	strict := rule{free: 1, longest: time.Second}
	for i := range maxOrigins {
		if wait := d.begin(string(rune('a'+i%26))+time.Duration(i).String(), strict); wait > 0 {
			t.Fatalf("address %d waits %s", i, wait)
		}
	}
	if wait := d.begin("one more", strict); wait > 0 {
		t.Errorf("waits %s", wait)
	}
	if wait := d.begin("another", strict); wait == 0 {
		t.Error("addresses that nobody remembers do not wait for each other")
	}
	if len(d.origins) > maxOrigins+1 {
		t.Errorf("%d addresses are remembered", len(d.origins))
	}
	now = now.Add(time.Minute)
	if wait := d.begin("one more", strict); wait > 0 || len(d.origins) > 2 {
		t.Errorf("after a while: waits %s, %d addresses", wait, len(d.origins))
	}
}
