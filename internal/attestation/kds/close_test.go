package kds_test

import (
	"context"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// Close returns when the last lookup has ended, also one whose caller is gone.
func TestClose(t *testing.T) {
	w := newWorld(t)
	cache := &slowCache{Cache: w.cache, entered: make(chan struct{}), leave: make(chan struct{})}
	c := w.client(known(w.amd), func(cfg *kds.Config) { cfg.Cache = cache })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-cache.entered
		cancel()
	}()
	if _, err := vcek(ctx, c, milan("a")); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	closed := make(chan struct{})
	go func() {
		c.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("closed while a lookup writes to the cache")
	case cache.leave <- struct{}{}:
	}
	<-closed
	if !cache.written {
		t.Error("closed before the cache was written")
	}
	if _, err := vcek(t.Context(), c, milan("b")); !errors.Is(err, kds.ErrUnavailable) {
		t.Errorf("after Close: got %v, want %v", err, kds.ErrUnavailable)
	}
}

// Close does not wait for a KDS that does not answer.
func TestCloseEndsRequests(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{})
	w.kds.Set(func(b *sim.Behaviour) {
		b.Unknown = func(sim.Chip) bool {
			close(asked)
			<-w.t.Context().Done()
			return true
		}
	})
	c := w.client(known(w.amd))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := vcek(ctx, c, milan("a")); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	c.Close()
}

// slowCache holds up a write until it is told to go on.
type slowCache struct {
	kds.Cache
	entered, leave chan struct{}
	written        bool
}

func (c *slowCache) Put(ctx context.Context, key kds.Key, entry kds.Entry) error {
	close(c.entered)
	<-c.leave
	c.written = true
	return c.Cache.Put(ctx, key, entry)
}
