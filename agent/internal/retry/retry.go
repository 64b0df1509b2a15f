// Package retry repeats what may succeed later, waiting longer each time.
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backoff says how long to wait between tries: First, then twice as long each
// time, at most Max.
type Backoff struct {
	First, Max time.Duration
}

// permanent is an error that no further try mends.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that ends Do at once.
func Permanent(err error) error { return permanent{err} }

// after asks for a longer pause.
type after struct {
	error
	pause time.Duration
}

func (a after) Unwrap() error { return a.error }

// After marks an error after which the next try shall wait at least so long.
func After(err error, pause time.Duration) error { return after{err, pause} }

// Do calls try until it succeeds, fails for good or the context ends. The error
// is the last try's, with the context's cause when that ended it.
func (b Backoff) Do(ctx context.Context, try func() error) error {
	pause := b.First
	for {
		err := try()
		if err == nil {
			return nil
		}
		if errors.As(err, new(permanent)) {
			return err
		}
		wait := pause
		if a := (after{}); errors.As(err, &a) {
			wait = max(wait, a.pause)
		}
		if !Sleep(ctx, wait) {
			return fmt.Errorf("%w (given up: %w)", err, context.Cause(ctx))
		}
		pause = min(2*pause, b.Max)
	}
}

// Sleep waits and reports whether the context lasted as long.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
