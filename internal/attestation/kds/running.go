package kds

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// running are the lookups that go on, also those that nobody waits for any more.
// The zero value is ready.
type running struct {
	lookups sync.WaitGroup

	mu     sync.Mutex
	closed bool
	cancel map[*context.CancelFunc]bool
}

// start begins a lookup, which has to call end. Its context ends after the time,
// and when close is called.
func (r *running) start(ctx context.Context, limit time.Duration) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		cancel()
		return nil, nil, fmt.Errorf("%w: the client is closed", ErrUnavailable)
	}
	if r.cancel == nil {
		r.cancel = make(map[*context.CancelFunc]bool)
	}
	r.cancel[&cancel] = true
	r.lookups.Add(1)
	return ctx, func() {
		cancel()
		r.mu.Lock()
		delete(r.cancel, &cancel)
		r.mu.Unlock()
		r.lookups.Done()
	}, nil
}

// close ends all lookups, lets none begin and waits for the last.
func (r *running) close() {
	r.mu.Lock()
	r.closed = true
	for cancel := range r.cancel {
		(*cancel)()
	}
	r.mu.Unlock()
	r.lookups.Wait()
}

// Close ends the lookups that go on after their callers gave up, and returns when
// nothing touches the cache any more. Lookups after it fail with ErrUnavailable.
func (c *Client) Close() { c.running.close() }
