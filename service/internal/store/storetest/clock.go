package storetest

import (
	"sync"
	"time"
)

// Clock is a clock that tests turn.
type Clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration
}

// NewClock returns a clock that moves on by step each time it is read.
func NewClock(step time.Duration) *Clock {
	return &Clock{now: time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC), step: step}
}

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

// Advance turns the clock.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}
