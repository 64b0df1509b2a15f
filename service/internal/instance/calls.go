package instance

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// Claim has a new instance claimed by the sealed guest secret that its disk keeps, and
// answers with the service's share of the key. The call has its right sizes. The error
// is a *unlock.Denial or wraps unlock.ErrUnavailable or wire.ErrShape.
func (s *Service) Claim(ctx context.Context, call *wire.BootCall, caller unlock.Caller) (*wire.GuestAnswer, error) {
	var asks wire.ClaimRequest
	b, err := s.begin(ctx, wire.CallClaim, call, caller, &asks)
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePublicKey(asks.PublicKey)
	if err != nil {
		return nil, b.refuse(ctx, &unlock.Denial{Reason: audit.ReasonPublicKey, Rule: "public_key", Expected: "an MLKEM768-X25519 key", Found: err.Error()})
	}
	// A secret that nobody can open would lock the guest out with its next boot.
	var denial *unlock.Denial
	if errors.As(b.guest.CheckGuestSecret(b.id, asks.Sealed), &denial) {
		return nil, b.refuse(ctx, denial)
	}
	sealed := sha256.Sum256(asks.Sealed)
	after, err := b.take(ctx, audit.ReasonInstanceClaim, func(i *store.Instance) (bool, *unlock.Denial) { return claim(i, sealed) })
	if err != nil {
		return nil, err
	}
	share, err := b.share(after, key)
	if err != nil {
		return nil, err
	}
	receipt := ed25519.Sign(s.Identity, wire.ReceiptTranscript(after.Image, after.ID, sealed))
	return b.answer(&wire.ClaimAnswer{InstanceAnswer: stateOf(after), Share: share, Receipt: receipt})
}

// claim has an instance claimed by the hash of a sealed guest secret.
func claim(i *store.Instance, sealed [32]byte) (again bool, denial *unlock.Denial) {
	switch {
	case i.State == wire.StateNew:
		i.State, i.Sealed = wire.StateClaimed, sealed
		return false, nil
	case i.State == wire.StateClaimed && i.Sealed == sealed:
		return true, nil
	case i.Sealed != sealed:
		return false, &unlock.Denial{
			Reason: audit.ReasonInstanceClaimed, Rule: "sealed",
			Expected: fmt.Sprintf("a record of SHA-256 %x", i.Sealed), Found: fmt.Sprintf("a record of SHA-256 %x", sealed),
		}
	}
	return false, wrongState(wire.StateNew, i)
}

// wrongState is the denial of a call of another state.
func wrongState(want wire.InstanceState, i *store.Instance) *unlock.Denial {
	return &unlock.Denial{
		Reason: audit.ReasonInstanceState, Rule: "state",
		Expected: "an instance that is " + string(want), Found: fmt.Sprintf("one that is %s, generation %d", i.State, i.Generation),
	}
}

// share seals the service's share of the key to the guest.
func (b *boot) share(i *store.Instance, guest *seal.PublicKey) ([]byte, error) {
	share, err := b.Shares.OpenShare(i.ID, i.ShareSealed)
	if err != nil {
		return nil, fmt.Errorf("%w: open share: %w", unlock.ErrUnavailable, err)
	}
	defer clear(share)
	sealed, err := guest.Seal(wire.ShareInfo(b.guest.ReportData), share)
	if err != nil {
		return nil, fmt.Errorf("%w: seal share: %w", unlock.ErrUnavailable, err)
	}
	return sealed, nil
}

// Ready notes that the disk of a claimed instance is under its volume key. The errors are
// Claim's.
func (s *Service) Ready(ctx context.Context, call *wire.BootCall, caller unlock.Caller) (*wire.GuestAnswer, error) {
	var says wire.ReadyRequest
	b, err := s.begin(ctx, wire.CallReady, call, caller, &says)
	if err != nil {
		return nil, err
	}
	after, err := b.take(ctx, audit.ReasonInstanceReady, func(i *store.Instance) (bool, *unlock.Denial) { return ready(i, &says, s.Now()) })
	if err != nil {
		return nil, err
	}
	answer := stateOf(after)
	return b.answer(&answer)
}

// ready makes a claimed instance ready, for the boot that was granted last.
func ready(i *store.Instance, says *wire.ReadyRequest, now time.Time) (again bool, denial *unlock.Denial) {
	sealed := [sha256.Size]byte(says.Sealed)
	switch {
	case i.State != wire.StateNew && i.Sealed != sealed:
		return false, &unlock.Denial{
			Reason: audit.ReasonInstanceKey, Rule: "sealed",
			Expected: fmt.Sprintf("a record of SHA-256 %x", i.Sealed), Found: fmt.Sprintf("a record of SHA-256 %x", sealed),
		}
	case i.State == wire.StateReady && committedBy(i, says.Generation):
		return true, nil
	case i.State != wire.StateClaimed:
		return false, wrongState(wire.StateClaimed, i)
	}
	i.State, i.ReadyAt = wire.StateReady, now
	i.Recovery = says.Recovery
	commit(i, says.Generation, now)
	return false, nil
}

// Commit notes that the disk of a ready instance has the generation after that of the
// grant. The errors are Claim's.
func (s *Service) Commit(ctx context.Context, call *wire.BootCall, caller unlock.Caller) (*wire.GuestAnswer, error) {
	var says wire.CommitRequest
	b, err := s.begin(ctx, wire.CallCommit, call, caller, &says)
	if err != nil {
		return nil, err
	}
	after, err := b.take(ctx, audit.ReasonInstanceCommitted, func(i *store.Instance) (bool, *unlock.Denial) { return advance(i, says.Generation, s.Now()) })
	if err != nil {
		return nil, err
	}
	answer := stateOf(after)
	return b.answer(&answer)
}

// advance gives a ready instance its next generation, once for a boot, and never a lower one.
func advance(i *store.Instance, generation uint64, now time.Time) (again bool, denial *unlock.Denial) {
	next := max(i.Granted.Generation+1, i.Generation+1)
	switch {
	case i.State != wire.StateReady:
		return false, wrongState(wire.StateReady, i)
	case committedBy(i, generation):
		return true, nil
	case generation != i.Granted.Generation+1 || generation <= i.Generation:
		return false, &unlock.Denial{
			Reason: audit.ReasonGeneration, Rule: "generation", Expected: fmt.Sprintf("generation %d", next), Found: fmt.Sprintf("generation %d", generation),
		}
	}
	commit(i, generation, now)
	return false, nil
}

// committedBy reports whether the boot that was granted last has committed this generation.
func committedBy(i *store.Instance, generation uint64) bool {
	return generation == i.Generation && i.Committed.ReportID == i.Granted.ReportID && i.Committed.BootKey == i.Granted.BootKey
}

// commit sets the generation of an instance, by the boot that was granted last. An
// allowance to restore an older one served its boot.
func commit(i *store.Instance, generation uint64, now time.Time) {
	i.Generation, i.Committed = generation, i.Granted
	i.Committed.At = now
	i.Restore, i.RestoreUntil = 0, time.Time{}
}
