package audit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a committer.
const (
	maxQueue  = 1024 // records that wait; further callers wait for room
	maxBatch  = 256  // records of one transaction
	batchTime = 30 * time.Second
)

// ErrClosed is a record that came after Close.
var ErrClosed = errors.New("audit log is closed")

// Committer writes in batches: whatever has come while one transaction is being
// committed goes into the next one. Nothing waits for company. It is safe for
// concurrent use.
type Committer[T, R any] struct {
	write func(ctx context.Context, batch []T) ([]R, error)
	queue chan *waiter[T, R]
	done  chan struct{} // closed when the queue is closed and empty

	mu     sync.RWMutex // held for reading while sending
	closed bool

	batches, records, failures atomic.Int64
}

// waiter is what waits to be written.
type waiter[T, R any] struct {
	value   T
	outcome chan outcome[R] // has room for one
}

type outcome[R any] struct {
	result R
	err    error
}

// NewCommitter starts a committer, which calls write for one batch after the other
// until Close. write makes all of a batch durable, or nothing.
func NewCommitter[T, R any](write func(ctx context.Context, batch []T) ([]R, error)) *Committer[T, R] {
	c := &Committer[T, R]{write: write, queue: make(chan *waiter[T, R], maxQueue), done: make(chan struct{})}
	go c.run()
	return c
}

// Submit waits until a value is written. When ctx ends before, it is written or not.
// The error may be ErrClosed.
func (c *Committer[T, R]) Submit(ctx context.Context, value T) (R, error) {
	var none R
	w := &waiter[T, R]{value, make(chan outcome[R], 1)}
	if err := c.enqueue(ctx, w); err != nil {
		return none, err
	}
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case o := <-w.outcome:
		return o.result, o.err
	}
}

func (c *Committer[T, R]) enqueue(ctx context.Context, w *waiter[T, R]) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ErrClosed
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case c.queue <- w:
		return nil
	}
}

// Close takes nothing more and returns when what waits is written.
func (c *Committer[T, R]) Close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	<-c.done
}

func (c *Committer[T, R]) run() {
	defer close(c.done)
	for first := range c.queue {
		c.commit(c.fill(first))
	}
}

// fill adds what else is waiting.
func (c *Committer[T, R]) fill(first *waiter[T, R]) []*waiter[T, R] {
	waiters := []*waiter[T, R]{first}
	for len(waiters) < maxBatch {
		select {
		case w, open := <-c.queue:
			if !open {
				return waiters
			}
			waiters = append(waiters, w)
		default:
			return waiters
		}
	}
	return waiters
}

// commit writes a batch and tells every waiter. It does not depend on the context
// of any of them.
func (c *Committer[T, R]) commit(waiters []*waiter[T, R]) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	batch := make([]T, len(waiters))
	for i, w := range waiters {
		batch[i] = w.value
	}
	results, err := c.write(ctx, batch)
	c.count(len(waiters), err)
	for i, w := range waiters {
		if err != nil {
			w.outcome <- outcome[R]{err: err}
			continue
		}
		w.outcome <- outcome[R]{result: results[i]}
	}
}

func (c *Committer[T, R]) count(records int, err error) {
	if err != nil {
		c.failures.Add(int64(records))
		return
	}
	c.batches.Add(1)
	c.records.Add(int64(records))
}

// Waiting returns how many values wait to be written.
func (c *Committer[T, R]) Waiting() int { return len(c.queue) }

// Written returns how many batches and values were written, and how many values
// could not be.
func (c *Committer[T, R]) Written() (batches, records, failures int64) {
	return c.batches.Load(), c.records.Load(), c.failures.Load()
}
