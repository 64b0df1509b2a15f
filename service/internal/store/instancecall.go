package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// RecordInstanceCall has a call decided, changes its instance, and writes the record, all
// or nothing: of KindGuest, whose outcome Decide says, done or denied. A denied call uses
// up its nonce and changes nothing else. Nobody changes the instance, its image or
// release meanwhile, whatever replica they ask. The error wraps ErrInvalid, or ErrDeleted
// when a call claims an instance by what it, or another, was claimed by before a reset.
func (s *Store) RecordInstanceCall(ctx context.Context, call InstanceCall) (audit.Entry, error) {
	if !call.Nonce.Expires.After(s.clock().Add(-nonceMargin)) {
		return audit.Entry{}, fmt.Errorf("record call: %w", invalidf("the nonce expired at %s", call.Nonce.Expires))
	}
	var entry audit.Entry
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		entry, err = s.recordCall(ctx, q, &call)
		return err
	})
	if err != nil {
		return audit.Entry{}, fmt.Errorf("record call: %w", err)
	}
	return entry, nil
}

func (s *Store) recordCall(ctx context.Context, q querier, call *InstanceCall) (audit.Entry, error) {
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return audit.Entry{}, err
	}
	facts, err := s.factsOf(ctx, q, call)
	if err != nil {
		return audit.Entry{}, err
	}
	shown := facts
	if facts.Instance != nil { // Decide may change what it is shown
		i := *facts.Instance
		shown.Instance = &i
	}
	now, record := call.Decide(shown)
	record.Kind, record.Time, record.InstanceID = audit.KindGuest, s.clock(), call.Instance
	if record, err = record.Checked(); err != nil {
		return audit.Entry{}, err
	}
	switch {
	case record.Outcome == audit.OutcomeDenied:
	case record.Outcome != audit.OutcomeDone:
		err = invalidf("outcome %.20q of a call", record.Outcome)
	case facts.NonceUsed || facts.Standing == nil || facts.Instance == nil:
		err = invalidf("a call is done with a used nonce, or without a release or an instance")
	default:
		err = s.writeCall(ctx, q, facts.Instance, &now)
	}
	if err != nil {
		return audit.Entry{}, err
	}
	entries, err := s.appendRecords(ctx, q, at, []audit.Record{record})
	if err != nil {
		return audit.Entry{}, err
	}
	return entries[0], nil
}

// factsOf looks up what the database has about a call, and uses up its nonce.
func (s *Store) factsOf(ctx context.Context, q querier, call *InstanceCall) (InstanceFacts, error) {
	var facts InstanceFacts
	fresh, err := useNonces(ctx, q, []*Nonce{&call.Nonce})
	if err != nil {
		return facts, err
	}
	facts.NonceUsed = !fresh[0]
	standings, err := findStandings(ctx, q, []Unlock{{Claim: &Claim{ReleaseID: call.Release}}})
	if err != nil {
		return facts, err
	}
	if standing, found := standings[call.Release]; found {
		facts.Standing = &standing
	}
	found, err := collect(ctx, q, query{
		`SELECT ` + instanceColumns + `, mac, recovery FROM instances WHERE id = $1`, []any{call.Instance[:]},
	}, s.scanWhole)
	if len(found) > 0 {
		facts.Instance = &found[0]
	}
	return facts, err
}

// writeCall changes of an instance what a call may change.
func (s *Store) writeCall(ctx context.Context, q querier, old, said *Instance) error {
	now := *old
	now.State, now.Sealed, now.Generation, now.Committed = said.State, said.Sealed, said.Generation, said.Committed
	now.ReadyAt, now.Restore, now.RestoreUntil = said.ReadyAt, said.Restore, said.RestoreUntil
	now.Recovery, now.RecoveryHash = said.Recovery, recoveryHash(said.Recovery)
	s.stamp(&now)
	if err := forward(old, &now); err != nil {
		return err
	}
	if now.Sealed != old.Sealed {
		if err := s.checkNotBuried(ctx, q, now.Sealed); err != nil {
			return err
		}
	}
	return s.updateInstance(ctx, q, old, &now)
}

// stamp sets the times of what a call has done, where the caller left them to the store.
func (s *Store) stamp(i *Instance) {
	for _, what := range []struct {
		done bool
		at   *time.Time
	}{{i.Committed.Generation > 0 || i.Committed.ReportID != [32]byte{}, &i.Committed.At}, {i.Generation > 0, &i.ReadyAt}} {
		if what.done && what.at.IsZero() {
			*what.at = s.clock()
		}
	}
}

// forward wants a call to move an instance on, never back, nor from one claim to another.
// The error wraps ErrInvalid.
func forward(old, now *Instance) error {
	order := []wire.InstanceState{wire.StateNew, wire.StateClaimed, wire.StateReady}
	if slices.Index(order, now.State) < slices.Index(order, old.State) || now.Generation < old.Generation ||
		old.State != wire.StateNew && now.Sealed != old.Sealed {
		return invalidf("a call takes a %s instance of generation %d to %.20q of %d, claimed by %x, then %x",
			old.State, old.Generation, now.State, now.Generation, old.Sealed, now.Sealed)
	}
	return nil
}
