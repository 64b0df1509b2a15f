package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// verdict is a decision on a release under way.
type verdict struct {
	permit         *access.Permit
	image, release wire.UUID
	change         change
}

// decide lets a decision on a release of an image begin. End gives its place back.
func (r *Registry) decide(ctx context.Context, actor access.Actor, op access.Operation, image, id wire.UUID) (*verdict, *store.Release, error) {
	permit, err := r.Gate.Begin(ctx, actor, op)
	if err != nil {
		return nil, nil, err
	}
	release, err := r.Release(ctx, image, id)
	if err != nil {
		permit.End()
		return nil, nil, err
	}
	return &verdict{permit: permit, image: image, release: id}, &release, nil
}

// apply makes the decision and its record. One by the proposer leaves a record of its
// refusal.
func (v *verdict) apply(ctx context.Context, release *store.Release) error {
	v.change.details["proposed_by"] = release.ProposedBy
	err := v.change.apply(ctx, v.permit, scope{image: v.image, release: v.release})
	if errors.Is(err, store.ErrOwnProposal) {
		return v.permit.Refuse(ctx, access.Refusal{
			Rule: "proposer", Expected: "another party than the proposer", Found: v.permit.Party(), Image: v.image, Release: v.release,
		})
	}
	return err
}

func contentHash(text string) ([sha256.Size]byte, error) {
	content, err := hex.DecodeString(text)
	if err != nil || len(content) != sha256.Size {
		return [sha256.Size]byte{}, refused("content_sha256: want the 64 hexadecimal digits that the release shows")
	}
	return [sha256.Size]byte(content), nil
}

func checkReason(reason string) error {
	if len(reason) > store.MaxReason {
		return refused("reason: it has %d bytes; the limit is %d", len(reason), store.MaxReason)
	}
	if reason == "" {
		return nil
	}
	return access.CheckText("reason", reason)
}

// wantState refuses a decision that the state of a release does not allow.
func wantState(r *store.Release, wanted wire.ReleaseState, hint string) error {
	if r.State != wanted {
		return refused("the release is already %s%s", r.State, hint)
	}
	return nil
}

// Approve lets a proposed release of an image into force, if its content still has the
// hash that was seen and another party proposed it. The error is a *RefusedError or an
// *access.PartyError, or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) Approve(ctx context.Context, actor access.Actor, image, id wire.UUID, approval wire.Approval) error {
	v, release, err := r.decide(ctx, actor, access.ApproveRelease, image, id)
	if err != nil {
		return err
	}
	defer v.permit.End()
	content, err := contentHash(approval.ContentHash)
	if err != nil {
		return err
	}
	if err := wantState(release, wire.StateProposed, restorable(release.State)); err != nil {
		return err
	}
	v.change.add("content_sha256", hex.EncodeToString(content[:]), func(ctx context.Context) error {
		if err := r.Store.ApproveRelease(ctx, id, store.Verdict{By: v.permit.Party(), Content: content}); err != nil {
			return err
		}
		approved, err := r.Store.ReleaseByID(ctx, id)
		v.change.details["verified_by"] = approved.VerifiedBy
		return err
	})
	return v.apply(ctx, release)
}

// restorable says what can be done about a release that was decided on.
func restorable(state wire.ReleaseState) string {
	if state == wire.StateApproved {
		return ""
	}
	return ": an admin can restore it"
}

// Reject keeps a proposed release of an image from force. The error is a *RefusedError
// or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) Reject(ctx context.Context, actor access.Actor, image, id wire.UUID, rejection wire.Rejection) error {
	v, release, err := r.decide(ctx, actor, access.RejectRelease, image, id)
	if err != nil {
		return err
	}
	defer v.permit.End()
	hint := ""
	if release.State == wire.StateApproved {
		hint = ": retire it"
	}
	if err := errors.Join(checkReason(rejection.Reason), wantState(release, wire.StateProposed, hint)); err != nil {
		return err
	}
	v.change.add("reason", rejection.Reason, func(ctx context.Context) error {
		return r.Store.RejectRelease(ctx, id, store.Verdict{By: v.permit.Party(), Reason: rejection.Reason})
	})
	return v.apply(ctx, release)
}

// Retire takes an approved release of an image out of force. One that guests have had
// keys by is retired only when the request says that this is known. The error is a
// *RefusedError or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) Retire(ctx context.Context, actor access.Actor, image, id wire.UUID, retirement wire.Retirement) error {
	v, release, err := r.decide(ctx, actor, access.RetireRelease, image, id)
	if err != nil {
		return err
	}
	defer v.permit.End()
	hint := ""
	if release.State == wire.StateProposed {
		hint = ", and not in force: reject it"
	}
	if err := errors.Join(checkReason(retirement.Reason), wantState(release, wire.StateApproved, hint)); err != nil {
		return err
	}
	v.change.add("reason", retirement.Reason, func(ctx context.Context) error {
		use, err := r.Store.ReleaseUse(ctx, id)
		if err != nil {
			return err
		}
		if (!use.GrantedAt.IsZero() || use.Machines > 0 || use.Instances > 0) && !retirement.InUse {
			return refused("guests of this release would no longer get a key: %s; set in_use to retire it anyway", UseText(use))
		}
		v.change.details["in_use"] = UseText(use)
		return r.Store.RetireRelease(ctx, id, store.Verdict{By: v.permit.Party(), Reason: retirement.Reason})
	})
	return v.apply(ctx, release)
}

// Restore takes a rejection or a retirement of a release of an image back. The error is
// a *RefusedError or wraps store.ErrNotFound or store.ErrChanged.
func (r *Registry) Restore(ctx context.Context, actor access.Actor, image, id wire.UUID, restoration wire.Restoration) error {
	v, release, err := r.decide(ctx, actor, access.RestoreRelease, image, id)
	if err != nil {
		return err
	}
	defer v.permit.End()
	if err := checkReason(restoration.Reason); err != nil {
		return err
	}
	if release.State != wire.StateRejected && release.State != wire.StateRetired {
		return refused("the release is %s: only a rejected or retired one can be restored", release.State)
	}
	v.change.add("reason", restoration.Reason, func(ctx context.Context) error {
		return r.Store.RestoreRelease(ctx, id, store.Verdict{By: v.permit.Party(), Reason: restoration.Reason})
	})
	v.change.details["was"] = string(release.State)
	return v.apply(ctx, release)
}

// Use returns whom retiring a release of an image locks out. The error wraps
// store.ErrNotFound.
func (r *Registry) Use(ctx context.Context, image, id wire.UUID) (store.ReleaseUse, error) {
	if _, err := r.Release(ctx, image, id); err != nil {
		return store.ReleaseUse{}, err
	}
	return r.Store.ReleaseUse(ctx, id)
}

// UseText says how much a release is used.
func UseText(u store.ReleaseUse) string {
	last := "never"
	if !u.GrantedAt.IsZero() {
		last = u.GrantedAt.Format(time.RFC3339)
	}
	return fmt.Sprintf("launches in the last %d days: %d; last launch: %s; machines that ran it when last seen: %d; instances that were launched from it last: %d",
		store.UsePeriod/(24*time.Hour), u.Launches, last, u.Machines, u.Instances)
}
