package unlock

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Denial is the error of a request that is refused for good. Its text is for
// the operator, never for the guest.
type Denial struct {
	Reason          audit.Reason
	Rule            string // the field or rule that failed; may be empty
	Expected, Found string // may be empty
}

// Error returns the denial in one line.
func (d *Denial) Error() string {
	return fmt.Sprintf("denied: %s: rule %q, expected %q, found %q", d.Reason, d.Rule, d.Expected, d.Found)
}

// ErrUnavailable is a request that could not be decided: a database, AMD's KDS
// or a revocation list cannot be reached. The guest may try again.
var ErrUnavailable = errors.New("cannot decide now")

func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}
