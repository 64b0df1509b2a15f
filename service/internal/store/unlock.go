package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Unlock is a guest's request for its key that is to be recorded.
type Unlock struct {
	// Audit describes the request. Seq, Time and Kind are set by the store.
	Audit audit.Record

	Nonce *Nonce      // that it uses up; nil when there is none that the service made
	Claim *Claim      // that it makes; nil when it is denied whatever the database has
	Limit LaunchLimit // of the image of the claim, for Facts.Launches

	// Instance is what the grant does to an instance; nil without one. It is done once:
	// a grant that repeats the first one of the same launch changes nothing.
	Instance *InstanceUse

	// Decide returns the record as it is written, from Audit and what the database
	// has at that moment. A grant keeps the claim. It may run more than once.
	Decide func(record audit.Record, facts Facts) audit.Record
}

// Facts is what the database has about an unlock, while nobody else records one or
// changes anything that an unlock rests on.
type Facts struct {
	NonceUsed bool
	Standing  *Standing // of the release of the claim; nil when it was deleted
	First     *Grant    // the grant that this launch has had, if it had one
	Instance  *Instance // that the unlock names, without Recovery; nil when it names none or there is none
	Launches  int64     // of the image that were given their key within the limit's period; 0 without a limit
}

// Standing is what an operator may change of a release at any time.
type Standing struct {
	Seen         Seen
	ImageEnabled bool
	ReleaseState wire.ReleaseState
}

// Nonce is used up by a record, be it a grant or a denial.
type Nonce struct {
	Hash    [32]byte // SHA-256 of the nonce
	Expires time.Time
}

// Claim is a launch that asks for its key.
type Claim struct {
	ReportID  [32]byte  // REPORT_ID of the report
	KeyHash   [32]byte  // SHA-256 of the guest's ephemeral public key and boot key
	ReleaseID wire.UUID // the release it was launched from
	ImageID   wire.UUID // and its image
}

// Grant is a launch that has been given its key.
type Grant struct {
	Claim
	Seq int64 // of the record of that
	at  time.Time
}

// RecordUnlock has an unlock decided and returns the record of it when it is durable.
// Without an error and a record that is a grant the key must not leave. It waits as
// long as ctx lets it; a record that is waiting when ctx ends may still be written.
// The error wraps ErrInvalid or audit.ErrClosed.
func (s *Store) RecordUnlock(ctx context.Context, unlock Unlock) (audit.Entry, error) {
	var err error
	if unlock.Audit, err = unlock.checked(s.clock()); err != nil {
		return audit.Entry{}, fmt.Errorf("record unlock: %w", err)
	}
	return s.submit(ctx, unlock)
}

// RecordAdmin writes a record of what an operator did or was refused: outcome
// done or denied. The error wraps ErrInvalid or audit.ErrClosed.
func (s *Store) RecordAdmin(ctx context.Context, record audit.Record) (audit.Entry, error) {
	record, err := adminRecord(record)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("record operation: %w", err)
	}
	return s.submit(ctx, Unlock{Audit: record, Decide: asItIs})
}

// asItIs is Unlock.Decide of what is decided.
func asItIs(record audit.Record, _ Facts) audit.Record { return record }

func adminRecord(record audit.Record) (audit.Record, error) {
	record.Kind = audit.KindAdmin
	if record.Outcome != audit.OutcomeDone && record.Outcome != audit.OutcomeDenied {
		return audit.Record{}, invalidf("outcome %.20q", record.Outcome)
	}
	return record.Checked()
}

// Audited makes a change and writes the record of it, both or neither. The change
// is made by methods of the store that get the context that do is given; do
// returns the record, and may run more than once. The error is do's, or wraps
// ErrInvalid.
func (s *Store) Audited(ctx context.Context, do func(ctx context.Context) (audit.Record, error)) (audit.Entry, error) {
	var entry audit.Entry
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
		entries, err := s.appendRecords(ctx, q, at, []audit.Record{record})
		if err != nil {
			return err
		}
		entry = entries[0]
		return nil
	})
	return entry, err
}

// submit hands a record to the committer and waits until it is written.
func (s *Store) submit(ctx context.Context, unlock Unlock) (audit.Entry, error) {
	if _, ok := s.joined(ctx); ok {
		// The committer would wait for the transaction, and it for the committer.
		return audit.Entry{}, errors.New("record inside of a transaction")
	}
	entry, err := s.committer.Submit(ctx, unlock)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("record %s: %w", unlock.Audit.Kind, err)
	}
	return entry, nil
}

// nonceMargin is how long a used nonce is remembered after it expired, in case
// the clocks of replicas differ.
const nonceMargin = 10 * time.Minute

// checked returns the record of an unlock that can be kept. The error wraps ErrInvalid.
func (u *Unlock) checked(now time.Time) (audit.Record, error) {
	if u.Nonce != nil && !u.Nonce.Expires.After(now.Add(-nonceMargin)) {
		return u.Audit, invalidf("the nonce expired at %s", u.Nonce.Expires)
	}
	u.Audit.Kind = audit.KindUnlock
	return u.Audit.Checked()
}
