package registry

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
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
	return fmt.Sprintf("part %s has more than %s", e.Part, size.Text(e.Limit))
}

// RegisteredError is an image that is registered already, told by its ID. It wraps
// store.ErrExists.
type RegisteredError struct {
	ID   wire.UUID
	Name string // under which it is registered
}

// Error says which image it is and what can be done.
func (e *RegisteredError) Error() string {
	return fmt.Sprintf("image %s is registered already, as %q: add a release to it, or convert anew, which gives another ID", e.ID, e.Name)
}

// Unwrap returns store.ErrExists.
func (e *RegisteredError) Unwrap() error { return store.ErrExists }
