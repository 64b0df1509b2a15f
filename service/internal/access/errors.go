package access

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on. Every other error is a failure of the storage.
var (
	// ErrUnauthenticated: no such token or session, or no longer. What wraps
	// it says why; tell the operator alone.
	ErrUnauthenticated = errors.New("not authenticated")

	// ErrTokenExpired and ErrTokenRevoked come with ErrUnauthenticated. Whoever shows
	// the secret of such a token may know: nobody else can.
	ErrTokenExpired = errors.New("token has expired")
	ErrTokenRevoked = errors.New("token was revoked")

	// ErrWrongPassword: the master password is another.
	ErrWrongPassword = errors.New("wrong password")

	// ErrChanged: somebody else changed the password meanwhile.
	ErrChanged = errors.New("password was changed in the meantime")

	// ErrNoPassword is a database without a master password. The first start makes one.
	ErrNoPassword = errors.New("the database has no master password yet: start the service once to create one")
)

// LockedError is a password that was not looked at, since too many wrong ones
// came before it.
type LockedError struct {
	RetryAfter time.Duration // when the next one is looked at
}

// Error says how long to wait.
func (e *LockedError) Error() string {
	return fmt.Sprintf("too many wrong passwords, try again in %s", e.RetryAfter.Round(time.Second))
}

// InvalidError is a value that is not taken. The reason is for the one who sent
// it.
type InvalidError struct{ Reason string }

// Error returns the reason.
func (e *InvalidError) Error() string { return e.Reason }

func invalidf(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }
