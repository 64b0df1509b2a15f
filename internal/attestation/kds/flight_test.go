package kds

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// TestFlightsOfOneName has a lookup join one of another kind: its answer is not
// taken for what it is not.
func TestFlightsOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{cfg: Config{Pace: Pace{}.withDefaults()}}
		land := make(chan struct{})
		go func() {
			n, err := flight(t.Context(), c, "a", func(context.Context) (int, error) { <-land; return 7, nil })
			if n != 7 || err != nil {
				t.Errorf("the first: %d, %v", n, err)
			}
		}()
		synctest.Wait()
		go func() {
			s, err := flight(t.Context(), c, "a", func(context.Context) (string, error) { return "b", nil })
			if s != "" || err == nil || !strings.Contains(err.Error(), "two kinds of lookups") {
				t.Errorf("the second: %q, %v", s, err)
			}
		}()
		synctest.Wait()
		close(land)
		synctest.Wait()
	})
}
