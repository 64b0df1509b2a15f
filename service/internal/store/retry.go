package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A transaction is tried this often; the pauses between add up to about four
// seconds, which a restart of the server takes.
const (
	maxTries   = 10
	firstPause = 20 * time.Millisecond
	longPause  = time.Second
)

// commitError is the failure of a commit. Unless the database says so, nobody
// knows whether it took place.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// retry calls do until it succeeds or fails for good.
func retry(ctx context.Context, do func() error) error {
	wait := firstPause
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == maxTries || !transient(err) || !pause(ctx, wait) {
			return err
		}
		wait = min(2*wait, longPause)
	}
}

// pause waits, and reports whether it was not interrupted.
func pause(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// transient reports whether the same transaction may well succeed when it is
// tried again, and certainly had no effect so far.
func transient(err error) bool {
	var commit *commitError
	if errors.As(err, &commit) {
		return rolledBack(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return rolledBack(err) || serverAway(pg.Code)
	}
	return connectionLost(err)
}

// rolledBack reports a conflict with another transaction: serialization_failure
// or deadlock_detected.
func rolledBack(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// serverAway reports the codes of a server that stops, starts or is full:
// connection exceptions, too_many_connections, admin_shutdown, crash_shutdown,
// cannot_connect_now.
func serverAway(code string) bool {
	return strings.HasPrefix(code, "08") || code == "53300" || code == "57P01" || code == "57P02" || code == "57P03"
}

func connectionLost(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
