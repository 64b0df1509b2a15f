package kds

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lane is for requests of one kind. Those of one do not wait for another's.
type lane int

// The lanes.
const (
	laneLists   lane = iota // revocation lists, and the chains above chips
	laneSeen                // chips that were seen before, and what the operator wants
	laneUnknown             // what strangers ask for
	lanes
)

// gate lets requests of one client start: so many at a time in each lane, and none
// while KDS wants to be left alone. A refusal (429 or 503) of one request holds back
// all of them, so that a fleet of guests that waits for certificates never hammers,
// and strangers twice as long, so that KDS's next answers are for the others.
type gate struct {
	slots [lanes]chan struct{}
	pace  Pace
	clock func() time.Time
	sleep func(context.Context, time.Duration) error

	mu       sync.Mutex
	next     time.Time // no request starts before
	unknown  time.Time // and none of laneUnknown before
	refusals int       // in a row
}

func newGate(pace Pace, clock func() time.Time, sleep func(context.Context, time.Duration) error) *gate {
	g := &gate{pace: pace, clock: clock, sleep: sleep}
	for i := range g.slots {
		g.slots[i] = make(chan struct{}, pace.Parallel)
	}
	return g
}

// enter waits until a request may start and returns what to call after it. It
// fails at once when that would be after the deadline.
func (g *gate) enter(ctx context.Context, in lane, deadline time.Time) (leave func(), err error) {
	if err := g.checkHold(in, deadline); err != nil {
		return nil, err
	}
	select {
	case g.slots[in] <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for other requests: %w", ErrUnavailable, ctx.Err())
	}
	leave = func() { <-g.slots[in] }
	for {
		wait := g.reserve(in)
		if wait <= 0 {
			return leave, nil
		}
		if err := g.checkHold(in, deadline); err != nil {
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
func (g *gate) checkHold(in lane, deadline time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next := g.start(in); next.After(deadline) {
		return fmt.Errorf("%w: it asked to be left alone until %s", ErrUnavailable, next.UTC().Format(time.RFC3339))
	}
	return nil
}

// start returns when a request may start at the earliest.
func (g *gate) start(in lane) time.Time {
	if in == laneUnknown && g.unknown.After(g.next) {
		return g.unknown
	}
	return g.next
}

// reserve lets a request start now and returns 0, or returns how long to wait
// before asking again.
func (g *gate) reserve(in lane) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	if wait := g.start(in).Sub(now); wait > 0 {
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
	now := g.clock()
	if until := now.Add(wait); until.After(g.next) {
		g.next, g.unknown = until, now.Add(2*wait)
	}
}

// answered ends a row of refusals.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refusals = 0
}
