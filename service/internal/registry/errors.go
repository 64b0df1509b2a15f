package registry

import (
	"errors"
	"fmt"
)

// ErrBusy means that as many uploads as the service takes are
// under way.
var ErrBusy = errors.New("too many uploads at once")

// RefusedError is a request that was understood but cannot be carried out. The
// reason is for the one who sent it.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return e.Reason }

func refused(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// TooLargeError is a file that exceeds its limit.
type TooLargeError struct {
	Part  string
	Limit int64 // bytes
}

// Error names the part and the limit.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("part %s has more than %d bytes", e.Part, e.Limit)
}
