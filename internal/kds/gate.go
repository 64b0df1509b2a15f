package kds

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gate lets requests of one client start: so many at a time, and none while KDS
// wants to be left alone. A refusal (429 or 503) of one request holds back all of
// them, so that a fleet of guests that waits for certificates never hammers.
type gate struct {
	slots chan struct{}
	pace  Pace
	clock func() time.Time
	sleep func(context.Context, time.Duration) error

	mu       sync.Mutex
	next     time.Time // no request starts before
	refusals int       // in a row
}

// enter waits until a request may start and returns what to call after it. It
// fails at once when that would be after the deadline.
func (g *gate) enter(ctx context.Context, deadline time.Time) (leave func(), err error) {
	if err := g.checkHold(deadline); err != nil {
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for other requests: %w", ErrUnavailable, ctx.Err())
	}
	leave = func() { <-g.slots }
	for {
		wait := g.reserve()
		if wait <= 0 {
			return leave, nil
		}
		if err := g.checkHold(deadline); err != nil {
			leave()
			return nil, err
		}
		if err := g.sleep(ctx, wait); err != nil {
			leave()
			return nil, fmt.Errorf("%w: wait before asking: %w", ErrUnavailable, err)
		}
	}
}

// checkHold fails when no request may start before the deadline.
func (g *gate) checkHold(deadline time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next.After(deadline) {
		return fmt.Errorf("%w: it asked to be left alone until %s", ErrUnavailable, g.next.UTC().Format(time.RFC3339))
	}
	return nil
}

// reserve lets a request start now and returns 0, or returns how long to wait
// before asking again.
func (g *gate) reserve() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	if wait := g.next.Sub(now); wait > 0 {
		return wait
	}
	g.next = now.Add(g.pace.Interval)
	return 0
}

// refused holds all requests back, for retryAfter when KDS gave one, and longer
// with every refusal in a row.
func (g *gate) refused(retryAfter time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals++
	wait := g.pace.backoff(g.refusals)
	if asked := min(retryAfter, g.pace.MaxRetryAfter); asked > wait {
		wait = asked + jitter(g.pace.Backoff)
	}
	if until := g.clock().Add(wait); until.After(g.next) {
		g.next = until
	}
}

// answered ends a row of refusals.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals = 0
}
