package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// LoginFailures are counts of wrong passwords within a window of time that
// begins with the first of them.
type LoginFailures struct {
	Address, Global int64
}

// everywhere is the origin that counts all failures.
const everywhere = ""

// maxLoginOrigins bounds the addresses that are counted one by one; further
// ones share the count of all.
const maxLoginOrigins = 10_000

// CountLoginFailure adds a wrong password from an address and returns the counts
// with it. Called before the password is checked, and undone by
// ForgiveLoginFailure when it was right, it leaves nothing to gain by guessing in
// parallel. The error wraps ErrInvalid.
func (s *Store) CountLoginFailure(ctx context.Context, address string, window time.Duration) (LoginFailures, error) {
	if err := checkName("address", address); err != nil {
		return LoginFailures{}, fmt.Errorf("count login: %w", err)
	}
	var counts LoginFailures
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		now := s.clock()
		expired := micros(now.Add(-window))
		if _, err = q.ExecContext(ctx, `DELETE FROM login_failures WHERE window_start <= $1`, expired); err != nil {
			return err
		}
		if counts.Global, err = countFailure(ctx, q, everywhere, now); err != nil {
			return err
		}
		var origins int64
		if err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_failures WHERE origin <> $1`, address).Scan(&origins); err != nil {
			return err
		}
		if counts.Address = counts.Global; origins <= maxLoginOrigins {
			counts.Address, err = countFailure(ctx, q, address, now)
		}
		return err
	})
	if err != nil {
		return LoginFailures{}, fmt.Errorf("count login: %w", err)
	}
	return counts, nil
}

// countFailure adds one. The row of all origins is locked first by every caller.
func countFailure(ctx context.Context, q querier, origin string, now time.Time) (int64, error) {
	var count int64
	err := q.QueryRowContext(ctx, `INSERT INTO login_failures (origin, failures, window_start) VALUES ($1, 1, $2)
		ON CONFLICT (origin) DO UPDATE SET failures = login_failures.failures + 1 RETURNING failures`, origin, micros(now)).Scan(&count)
	return count, err
}

// LoginFailures returns the counts of an address without adding to them.
func (s *Store) LoginFailures(ctx context.Context, address string, window time.Duration) (LoginFailures, error) {
	var counts LoginFailures
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN origin = $1 THEN failures ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN origin = '' THEN failures ELSE 0 END), 0)
			FROM login_failures WHERE origin IN ($1, '') AND window_start > $2`,
			audit.Storable(address), micros(s.clock().Add(-window))).Scan(&counts.Address, &counts.Global)
	})
	if err != nil {
		return LoginFailures{}, fmt.Errorf("count login: %w", err)
	}
	return counts, nil
}

// ForgiveLoginFailure forgets the failures of an address after it gave the right
// password, and takes the one counted for that off the count of all.
func (s *Store) ForgiveLoginFailure(ctx context.Context, address string) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, `UPDATE login_failures SET failures = failures - 1 WHERE origin = '' AND failures > 0`); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `DELETE FROM login_failures WHERE origin = $1 AND origin <> ''`, audit.Storable(address))
		return err
	})
	if err != nil {
		return fmt.Errorf("forgive login: %w", err)
	}
	return nil
}
