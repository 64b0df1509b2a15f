package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/retry"
)

// waits returns when each try began, in seconds from the first.
func waits(ctx context.Context, t *testing.T, b retry.Backoff, try func(n int) error) (at []float64, err error) {
	t.Helper()
	began := time.Now()
	err = b.Do(ctx, func() error {
		at = append(at, time.Since(began).Seconds())
		return try(len(at))
	})
	return at, err
}

var errBroken = errors.New("broken")

// until fails before the nth try.
func until(n int, err error) func(int) error {
	return func(try int) error {
		if try < n {
			return err
		}
		return nil
	}
}

func TestWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		try     func(n int) error
		timeout time.Duration
		want    []float64
		err     error
	}{
		"at once":  {func(int) error { return nil }, time.Hour, []float64{0}, nil},
		"doubling": {until(5, errBroken), time.Hour, []float64{0, 1, 3, 7, 11}, nil},
		"longer": {func(n int) error {
			return map[bool]error{n < 3: fmt.Errorf("round: %w", retry.After(errBroken, 20*time.Second))}[true]
		}, time.Hour, []float64{0, 20, 40}, nil},
		"permanent": {func(int) error { return fmt.Errorf("round: %w", retry.Permanent(errBroken)) }, time.Hour, []float64{0}, errBroken},
		"deadline":  {func(int) error { return errBroken }, 5 * time.Second, []float64{0, 1, 3}, errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := errors.New("too late")
				ctx, cancel := context.WithTimeoutCause(t.Context(), tc.timeout, late)
				defer cancel()
				at, err := waits(ctx, t, retry.Backoff{First: time.Second, Max: 4 * time.Second}, tc.try)
				if fmt.Sprint(at) != fmt.Sprint(tc.want) || !errors.Is(err, tc.err) {
					t.Errorf("tried at %v, %v", at, err)
				}
				if name == "deadline" && !errors.Is(err, late) {
					t.Errorf("the cause is lost: %v", err)
				}
			})
		})
	}
}
