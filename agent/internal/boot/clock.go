package boot

import (
	"context"
	"fmt"
	"time"
)

// setClock sets the clock by the service's time: until then it is the host's, and
// the system would take certificates and updates for valid by it.
func (b *Boot) setClock(context.Context) error {
	before := time.Now()
	now := b.grant.Time.Add(time.Since(b.grant.Came))
	if err := b.Machine.SetClock(now); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	b.Log.Printf("clock", "set to %s, which is %v from the host's", now.UTC().Format(time.RFC3339), now.Sub(before.Round(0)).Round(time.Second))
	return nil
}
