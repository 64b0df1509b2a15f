package kds

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"
)

// Pace says how hard KDS is asked. Zero values mean the defaults, which are in
// the comments.
type Pace struct {
	Parallel int           // requests at the same time; 2
	Interval time.Duration // between the starts of two requests; none
	Attempts int           // for one answer; 4

	// Backoff is the wait after a first failure, 1 s. It doubles with each further
	// one up to MaxBackoff, 30 s; half of it is random.
	Backoff, MaxBackoff time.Duration

	// MaxRetryAfter bounds how long a Retry-After is obeyed; 10 min.
	MaxRetryAfter time.Duration

	RequestTimeout time.Duration // for one request with its answer; 15 s
	Timeout        time.Duration // for one lookup with all its attempts; 60 s

	UnknownFor time.Duration // how long "unknown chip" is remembered; 10 min
	FailedFor  time.Duration // how long other failures are; 30 s
}

func (p Pace) withDefaults() Pace {
	for _, d := range []struct {
		value   *time.Duration
		instead time.Duration
	}{
		{&p.Backoff, time.Second},
		{&p.MaxBackoff, 30 * time.Second},
		{&p.MaxRetryAfter, 10 * time.Minute},
		{&p.RequestTimeout, 15 * time.Second},
		{&p.Timeout, 60 * time.Second},
		{&p.UnknownFor, 10 * time.Minute},
		{&p.FailedFor, 30 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.instead
		}
	}
	if p.Parallel <= 0 {
		p.Parallel = 2
	}
	if p.Attempts <= 0 {
		p.Attempts = 4
	}
	return p
}

// backoff returns how long to wait after n failures in a row: between half and
// all of Backoff doubled n-1 times.
func (p Pace) backoff(n int) time.Duration {
	d := p.Backoff
	for ; n > 1 && d < p.MaxBackoff; n-- {
		d *= 2
	}
	d = min(d, p.MaxBackoff)
	return d/2 + jitter(d/2)
}

// jitter returns a random time up to limit, so that many clients that failed
// together do not come back together.
func jitter(limit time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)+1))
	if err != nil {
		return limit // cannot happen: crypto/rand does not fail
	}
	return time.Duration(n.Int64())
}

// sleep waits for d or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
