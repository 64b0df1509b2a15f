package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Reasons that the store itself gives for a denial.
const (
	ReasonNonceUsed = "nonce_used"         // the nonce came before
	ReasonReleased  = "report_id_released" // this launch has had its key, under another guest key
)

// UnlockRecord is a guest's request for its key and what the service decided.
type UnlockRecord struct {
	// Audit describes the request. With a Claim, the store makes it a grant, or
	// a denial that it finds itself; without one it is a denial and has a Reason.
	// Seq, Time, Kind, Outcome and Retry are set by the store.
	Audit Record

	Nonce *Nonce // nil when there is none that the service made
	Grant *Claim // nil for a denial

	// Seen is how FindLaunch returned the launch that a grant rests on, and Limit
	// that of its image.
	Seen  Seen
	Limit LaunchLimit

	// What the record says when the store denies.
	NonceUsed, Released Denial
}

// Nonce is used up by a record, be it a grant or a denial.
type Nonce struct {
	Hash    [32]byte // SHA-256 of the nonce
	Expires time.Time
}

// Claim is a launch that asks for its key. The first key hash to be granted for a
// REPORT_ID and release is the only one.
type Claim struct {
	ReportID  [32]byte  // REPORT_ID of the report
	KeyHash   [32]byte  // SHA-256 of the guest's ephemeral public key
	ReleaseID wire.UUID // the release it was launched from
	ImageID   wire.UUID // and its image
}

// Denial is the texts of a denial. The zero value leaves them empty.
type Denial struct{ Rule, Expected, Found string }

// Decision is what was decided, and is on the disk.
type Decision struct {
	Granted bool
	Entry   Entry
}

// RecordUnlock writes a record and returns, when it is durable, what it says: a
// grant only if nonce and launch allow it, and the release still stands. Without an error and Granted the key
// must not leave. It waits as long as ctx lets it; a record that is waiting when
// ctx ends may still be written. The error wraps ErrInvalid or ErrClosed.
func (s *Store) RecordUnlock(ctx context.Context, unlock UnlockRecord) (Decision, error) {
	var err error
	if unlock.Audit, err = unlock.Audit.checked(); err == nil {
		err = unlock.validate(s.clock())
	}
	if err != nil {
		return Decision{}, fmt.Errorf("record unlock: %w", err)
	}
	unlock.Audit.Kind = KindUnlock
	return s.submit(ctx, unlock)
}

// RecordAdmin writes a record of what an operator did or was refused: outcome
// done or denied. The error wraps ErrInvalid or ErrClosed.
func (s *Store) RecordAdmin(ctx context.Context, record Record) (Entry, error) {
	record, err := adminRecord(record)
	if err != nil {
		return Entry{}, fmt.Errorf("record operation: %w", err)
	}
	decision, err := s.submit(ctx, UnlockRecord{Audit: record})
	return decision.Entry, err
}

func adminRecord(record Record) (Record, error) {
	record.Kind = KindAdmin
	if record.Outcome != OutcomeDone && record.Outcome != OutcomeDenied {
		return Record{}, invalidf("outcome %.20q", record.Outcome)
	}
	return record.checked()
}

// Audited makes a change and writes the record of it, both or neither. The change
// is made by methods of the store that get the context that do is given; do
// returns the record, and may run more than once. The error is do's, or wraps
// ErrInvalid.
func (s *Store) Audited(ctx context.Context, do func(ctx context.Context) (Record, error)) (Entry, error) {
	var entry Entry
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		record, err := do(ctx)
		if err != nil {
			return err
		}
		if record, err = adminRecord(record); err != nil {
			return fmt.Errorf("record operation: %w", err)
		}
		// The end of the log is locked last and not for long.
		at, err := s.lockEnd(ctx, q)
		if err != nil {
			return err
		}
		record.Time = s.clock()
		entries, err := s.appendRecords(ctx, q, at, []Record{record})
		if err != nil {
			return err
		}
		entry = entries[0]
		return nil
	})
	return entry, err
}

// submit hands a record to the committer and waits for its decision.
func (s *Store) submit(ctx context.Context, unlock UnlockRecord) (Decision, error) {
	if _, ok := s.joined(ctx); ok {
		// The committer would wait for the transaction, and it for the committer.
		return Decision{}, errors.New("record inside of a transaction")
	}
	decision, err := s.committer.submit(ctx, unlock)
	if err != nil {
		return Decision{}, fmt.Errorf("record %s: %w", unlock.Audit.Kind, err)
	}
	return decision, nil
}

// nonceMargin is how long a used nonce is remembered after it expired, in case
// the clocks of replicas differ.
const nonceMargin = 10 * time.Minute

// The error wraps ErrInvalid.
func (u *UnlockRecord) validate(now time.Time) error {
	for _, d := range []*Denial{&u.NonceUsed, &u.Released} {
		d.Rule, d.Expected, d.Found = clean(d.Rule), clean(d.Expected), clean(d.Found)
	}
	switch {
	case u.Nonce != nil && !u.Nonce.Expires.After(now.Add(-nonceMargin)):
		return invalidf("the nonce expired at %s", u.Nonce.Expires)
	case u.Grant == nil && u.Audit.Reason == "":
		return invalidf("denied without a reason")
	case u.Grant == nil:
		u.Audit.Outcome = OutcomeDenied
		return nil
	case u.Nonce == nil:
		return invalidf("granted without a nonce")
	case u.Audit.Count != 0:
		return invalidf("%d grants in one record", u.Audit.Count)
	case u.Audit.Reason != "":
		return invalidf("granted with a reason to deny: %.40q", u.Audit.Reason)
	}
	u.Audit.Outcome = OutcomeGranted
	return nil
}
