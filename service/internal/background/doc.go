// Package background is what a replica does by itself, as time goes by: a [Watch] looks
// at what no request shows, a [Janitor] deletes what nobody needs any more, and a
// [Presence] lets the replicas of a service know of each other.
package background

import (
	"context"
	"time"
)

// every does a step at once and then again and again, with a pause between, until ctx
// ends. What fails is told, and tried again the next time.
func every(ctx context.Context, pause time.Duration, step func(context.Context) error, failed func(error)) {
	for {
		if err := step(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
