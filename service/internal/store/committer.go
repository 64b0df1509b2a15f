package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the committer.
const (
	maxQueue  = 1024 // records that wait; further callers wait for room
	maxBatch  = 256  // records of one transaction
	batchTime = 30 * time.Second

	// pruneEvery is how often a batch also forgets old nonces.
	pruneEvery = 10 * time.Second
)

// committer writes records in batches: whatever has come while one transaction
// is being committed goes into the next one. Nothing waits for company.
type committer struct {
	store *Store
	queue chan *waiter
	done  chan struct{} // closed when the queue is closed and empty

	mu     sync.RWMutex // held for reading while sending
	closed bool

	batches, records, failures atomic.Int64
	pruned                     time.Time // of run alone
}

// waiter is a record that waits to be written.
type waiter struct {
	unlock  UnlockRecord
	outcome chan outcome // has room for one
}

type outcome struct {
	decision Decision
	err      error
}

func startCommitter(s *Store) *committer {
	c := &committer{store: s, queue: make(chan *waiter, maxQueue), done: make(chan struct{})}
	go c.run()
	return c
}

// submit waits for the record to be written. When ctx ends before, the record is
// written or not.
func (c *committer) submit(ctx context.Context, unlock UnlockRecord) (Decision, error) {
	w := &waiter{unlock, make(chan outcome, 1)}
	if err := c.enqueue(ctx, w); err != nil {
		return Decision{}, err
	}
	select {
	case <-ctx.Done():
		return Decision{}, ctx.Err()
	case o := <-w.outcome:
		return o.decision, o.err
	}
}

func (c *committer) enqueue(ctx context.Context, w *waiter) error {
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

// close takes no more records and returns when those that wait are written.
func (c *committer) close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	<-c.done
}

func (c *committer) run() {
	defer close(c.done)
	for first := range c.queue {
		c.commit(c.fill(first))
	}
}

// fill adds what else is waiting.
func (c *committer) fill(first *waiter) []*waiter {
	waiters := []*waiter{first}
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
func (c *committer) commit(waiters []*waiter) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	unlocks := make([]UnlockRecord, len(waiters))
	for i, w := range waiters {
		unlocks[i] = w.unlock
	}
	now := c.store.clock()
	prune := now.Sub(c.pruned) >= pruneEvery
	var decisions []Decision
	err := c.store.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if decisions, err = c.store.record(ctx, q, unlocks, now); err != nil || !prune {
			return err
		}
		return pruneNonces(ctx, q, now)
	})
	c.count(len(waiters), err)
	for i, w := range waiters {
		if err != nil {
			w.outcome <- outcome{err: err}
			continue
		}
		w.outcome <- outcome{decision: decisions[i]}
	}
	if err == nil && prune {
		c.pruned = now
	}
}

func (c *committer) count(records int, err error) {
	if err != nil {
		c.failures.Add(int64(records))
		return
	}
	c.batches.Add(1)
	c.records.Add(int64(records))
}
