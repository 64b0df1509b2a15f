package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Decision is what was decided of a release. Only what is approved unlocks.
type Decision struct {
	State      wire.ReleaseState
	ApprovedAt time.Time // zero until it was approved
	ApprovedBy string    // party
	VerifiedBy string    // who had recomputed what was approved; empty: nobody

	// The last decision after its approval, or its rejection.
	DecidedAt time.Time
	DecidedBy string // party, or wire.PartyService
	Reason    string // in words; may be empty
}

// Verdict is a decision as somebody makes it.
type Verdict struct {
	By      string   // party
	Content [32]byte // of what is approved, see Release.ContentHash
	Reason  string   // in words; may be empty
}

// ErrOwnProposal means that whoever proposed a release would decide on it.
var ErrOwnProposal = errors.New("the proposer of a release cannot approve it")

// StateError is a decision that the state of a release does not allow. It wraps
// ErrChanged.
type StateError struct{ State wire.ReleaseState }

// Error says in which state the release is.
func (e *StateError) Error() string { return fmt.Sprintf("the release is %s", e.State) }

// Unwrap returns ErrChanged.
func (e *StateError) Unwrap() error { return ErrChanged }

// DecidedError is a release that an image had, and that was rejected or retired. It
// wraps ErrExists.
type DecidedError struct {
	ID    wire.UUID
	State wire.ReleaseState
}

// Error says which release it was, and what can be done.
func (e *DecidedError) Error() string {
	return fmt.Sprintf("release %s of this image has the same files, command line and guest policy, and was %s: "+
		"an admin can bring it back with \"snpguard release restore\"; nothing was added", e.ID, e.State)
}

// Unwrap returns ErrExists.
func (e *DecidedError) Unwrap() error { return ErrExists }

// MaxReason is how many bytes a reason in words has at most.
const MaxReason = 500

// ApproveRelease lets a proposed release into force, if its content still has the
// hash of the verdict and another party proposed it. The error is a *StateError, or
// wraps ErrNotFound, ErrChanged or ErrOwnProposal.
func (s *Store) ApproveRelease(ctx context.Context, id wire.UUID, v Verdict) error {
	return s.decide(ctx, id, v, func(q querier, r *Release) error {
		switch {
		case r.State != wire.StateProposed:
			return &StateError{r.State}
		case r.ProposedBy == v.By:
			return ErrOwnProposal
		case r.ContentHash() != v.Content:
			return ErrChanged
		}
		verified, err := s.listVerifications(ctx, q, id, v.Content)
		if err != nil {
			return err
		}
		r.Decision = Decision{State: wire.StateApproved, ApprovedAt: s.clock(), ApprovedBy: v.By}
		if len(verified) > 0 {
			r.VerifiedBy = verified[0].By
		}
		return nil
	})
}

// RejectRelease keeps a proposed release from force. The error is a *StateError, or
// wraps ErrInvalid or ErrNotFound.
func (s *Store) RejectRelease(ctx context.Context, id wire.UUID, v Verdict) error {
	return s.decide(ctx, id, v, func(_ querier, r *Release) error {
		return s.move(r, v, map[wire.ReleaseState]wire.ReleaseState{wire.StateProposed: wire.StateRejected})
	})
}

// RetireRelease takes an approved release out of force. The error is a *StateError, or
// wraps ErrInvalid or ErrNotFound.
func (s *Store) RetireRelease(ctx context.Context, id wire.UUID, v Verdict) error {
	return s.decide(ctx, id, v, func(_ querier, r *Release) error {
		return s.move(r, v, map[wire.ReleaseState]wire.ReleaseState{wire.StateApproved: wire.StateRetired})
	})
}

// RestoreRelease takes a decision back: what was retired is approved again, what was
// rejected is proposed. The error is a *StateError, or wraps ErrInvalid or ErrNotFound.
func (s *Store) RestoreRelease(ctx context.Context, id wire.UUID, v Verdict) error {
	return s.decide(ctx, id, v, func(_ querier, r *Release) error {
		return s.move(r, v, map[wire.ReleaseState]wire.ReleaseState{
			wire.StateRetired: wire.StateApproved, wire.StateRejected: wire.StateProposed,
		})
	})
}

// move changes the state of a release to the one that follows. The error is a
// *StateError.
func (s *Store) move(r *Release, v Verdict, next map[wire.ReleaseState]wire.ReleaseState) error {
	state, ok := next[r.State]
	if !ok {
		return &StateError{r.State}
	}
	r.State, r.DecidedAt, r.DecidedBy, r.Reason = state, s.clock(), v.By, v.Reason
	return nil
}

// decide changes a release while its image is locked, so that nobody adds the same
// release meanwhile.
func (s *Store) decide(ctx context.Context, id wire.UUID, v Verdict, change func(q querier, r *Release) error) error {
	if err := errors.Join(checkName("party", v.By), checkText("reason", v.Reason, MaxReason)); err != nil {
		return fmt.Errorf("decide on release: %w", err)
	}
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, query{`SELECT image_id FROM releases WHERE id = $1`, []any{id[:]}}, func(row scanner) (image wire.UUID, err error) {
			return image, row.Scan(exactly(image[:]))
		})
		if err != nil {
			return fmt.Errorf("decide on release: %w", err)
		}
		if len(found) == 0 {
			return fmt.Errorf("decide on release: %w", ErrNotFound)
		}
		if _, err := s.lockImage(ctx, q, found[0]); err != nil {
			return fmt.Errorf("decide on release: %w", err)
		}
		return s.changeRelease(ctx, id, func(r *Release) error { return change(q, r) })
	})
}

// checkDecided refuses what is measured the same as a release of the image that was
// rejected or retired. It needs a lock on the image. The error is a *DecidedError.
func (s *Store) checkDecided(ctx context.Context, q querier, image wire.UUID, r *Release) error {
	decided, err := collect(ctx, q, query{
		`SELECT ` + releaseColumns + `, mac FROM releases WHERE image_id = $1 AND (state = $2 OR state = $3)`,
		[]any{image[:], string(wire.StateRejected), string(wire.StateRetired)},
	}, s.scanRelease)
	if err != nil {
		return err
	}
	for _, d := range decided {
		if d.SameInputs(r) {
			return &DecidedError{d.ID, d.State}
		}
	}
	return nil
}

// SameInputs reports whether two releases are measured from the same, in whatever
// sizes: files, command line, guest policy and SVN.
func (r *Release) SameInputs(other *Release) bool {
	return r.Cmdline == other.Cmdline && r.Firmware.SHA256 == other.Firmware.SHA256 && r.Kernel.SHA256 == other.Kernel.SHA256 &&
		r.Initrd.SHA256 == other.Initrd.SHA256 && r.GuestPolicy == other.GuestPolicy && r.GuestSVN == other.GuestSVN
}
