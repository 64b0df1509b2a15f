package unlock

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Record is a request that is decided but for what only the database knows: whether
// its nonce was used, its launch has had its key, its image may have another, and the
// release stands as it was looked up.
type Record struct {
	// Audit describes the request. It has a Reason when the request is denied.
	Audit audit.Record

	// Nonce is what the request uses up, when it is this service's own and the report
	// genuine.
	Nonce *store.Nonce

	// Claim is what a grant uses up; nil for a denial. Seen and Limit are those of the
	// launch that it rests on.
	Claim *store.Claim
	Seen  store.Seen
	Limit store.LaunchLimit

	// Instance is what the grant rests on, as it was looked up; nil when the image has
	// none. Boot becomes its latest one.
	Instance *store.Instance
	Boot     store.Boot

	Verified bool   // the report is genuine; otherwise all of it can be made up
	Block    string // of the caller
}

// denied reports whether the request is denied whatever the database has.
func (r *Record) denied() bool { return r.Audit.Reason != "" }

// Write decides the rest and returns the record once it is durable.
func (r Record) Write(ctx context.Context, log Log) (audit.Entry, error) {
	if err := r.validate(); err != nil {
		return audit.Entry{}, err
	}
	r.Audit.Outcome = audit.OutcomeGranted
	if r.denied() {
		r.Audit.Outcome = audit.OutcomeDenied
	}
	return log.RecordUnlock(ctx, store.Unlock{Audit: r.Audit, Nonce: r.Nonce, Claim: r.Claim, Limit: r.Limit, Instance: r.use(), Decide: r.settle})
}

// use is what a grant does to its instance.
func (r *Record) use() *store.InstanceUse {
	if r.Instance == nil || r.Claim == nil {
		return nil
	}
	return &store.InstanceUse{ID: r.Instance.ID, Boot: r.Boot}
}

// validate refuses what this package does not make.
func (r *Record) validate() error {
	var mistake string
	switch {
	case r.denied() && r.Claim != nil:
		mistake = "a claim of a denied request"
	case r.denied():
		return nil
	case r.Claim == nil:
		mistake = "denied without a reason"
	case r.Nonce == nil:
		mistake = "granted without a nonce"
	case r.Audit.Count != 0:
		mistake = "several grants in one record"
	default:
		return nil
	}
	return fmt.Errorf("record unlock: %w: %s", audit.ErrInvalid, mistake)
}

// settle makes the last part of the decision. Only here does a request become a grant:
// the log is locked, so nothing of the facts changes before the record is written. The
// first guest key that is granted for a REPORT_ID and release is the only one.
func (r *Record) settle(record audit.Record, facts store.Facts) audit.Record {
	switch {
	case facts.NonceUsed:
		return record.Denied(audit.ReasonNonceUsed, "nonce", "a nonce that was not used before", "a used nonce")
	case r.denied():
		return record
	}
	if d := cmp.Or(withdrawn(r.Claim.ReleaseID, r.Seen, facts.Standing), r.instanceChanged(facts.Instance)); d != nil {
		return record.Denied(d.Reason, d.Rule, d.Expected, d.Found)
	}
	first := facts.First
	switch {
	case first == nil && !r.Limit.None() && facts.Launches >= r.Limit.Max:
		return record.Denied(audit.ReasonLaunchLimit, "launch_limit",
			fmt.Sprintf("at most %d launches in %s", r.Limit.Max, r.Limit.Period), fmt.Sprintf("%d already", facts.Launches))
	case first == nil:
		return reported(record)
	case first.Claim == *r.Claim:
		record.Retry = true
	default:
		record = record.Denied(audit.ReasonReportIDReleased, "report_id",
			"a launch that has had no key, or a retry with the same public key",
			"REPORT_ID "+hex.EncodeToString(r.Claim.ReportID[:])+" with another public key")
	}
	return record.WithDetail("first_grant", strconv.FormatInt(first.Seq, 10))
}

// withdrawn returns why a release may not be granted as it was looked up, or nil. Rows
// that still have their MACs are those that the decision rests on, whatever else
// somebody wrote into them; the other columns only tell the reason.
func withdrawn(release wire.UUID, seen store.Seen, s *store.Standing) *Denial {
	switch {
	case s == nil:
		return &Denial{audit.ReasonLaunchUnknown, "image_id", "a registered release", "release " + release.String() + ", deleted meanwhile"}
	case s.Seen == seen:
		return nil
	case !s.ImageEnabled:
		return &Denial{audit.ReasonImageDisabled, "enabled", "an enabled image", "disabled meanwhile"}
	}
	if d := notInForce(s.ReleaseState); d != nil {
		d.Found += " meanwhile"
		return d
	}
	return &Denial{audit.ReasonPolicyChanged, "policy_revision", "image and release as they were looked up", "changed meanwhile"}
}

// instanceChanged returns why an instance may not be granted as it was looked up, or
// nil. What tells which keys are given must be as it was then. Another launch may have
// been granted meanwhile: this one supersedes it.
func (r *Record) instanceChanged(now *store.Instance) *Denial {
	seen := r.Instance
	if seen == nil {
		return nil
	}
	if d := CheckInstance(now, seen.Image); d != nil {
		d.Found += " meanwhile"
		return d
	}
	if now.State != seen.State || now.Sealed != seen.Sealed || now.Generation != seen.Generation ||
		now.Restore != seen.Restore || !now.RestoreUntil.Equal(seen.RestoreUntil) {
		return &Denial{audit.ReasonInstanceChanged, "instance", "an instance as it was looked up", "changed meanwhile"}
	}
	return nil
}
