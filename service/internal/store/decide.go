package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// batch is the records of one transaction.
type batch struct {
	unlocks   []UnlockRecord
	fresh     []bool                 // nonce i was not used before
	held      map[[32]byte]holding   // REPORT_IDs that were granted
	standings map[wire.UUID]standing // releases that there are
	launches  map[wire.UUID]int64    // of images with a limit, within its period
	granted   []holding              // REPORT_IDs granted here for the first time
	now       time.Time
}

// holding is a launch that has been given its key.
type holding struct {
	Claim
	seq int64 // of the record that granted it
	at  time.Time
}

// record decides on all unlocks, in order, and writes what was decided.
func (s *Store) record(ctx context.Context, q querier, unlocks []UnlockRecord, now time.Time) ([]Decision, error) {
	// The lock on the chain is also what makes two replicas decide one after
	// the other about the same nonce or launch.
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return nil, err
	}
	b := batch{unlocks: unlocks, now: now}
	if b.fresh, err = useNonces(ctx, q, unlocks); err != nil {
		return nil, err
	}
	if b.held, err = findGrants(ctx, q, unlocks); err != nil {
		return nil, err
	}
	if b.standings, err = findStandings(ctx, q, unlocks); err != nil {
		return nil, err
	}
	if b.launches, err = countLaunches(ctx, q, unlocks, now); err != nil {
		return nil, err
	}
	records := make([]Record, len(unlocks))
	for i := range unlocks {
		records[i] = b.decide(i, at.Seq+1+int64(i))
		records[i].Time = now
	}
	if err := insertGrants(ctx, q, b.granted); err != nil {
		return nil, err
	}
	entries, err := s.appendRecords(ctx, q, at, records)
	if err != nil {
		return nil, err
	}
	decisions := make([]Decision, len(entries))
	for i, e := range entries {
		decisions[i] = Decision{e.Kind == KindUnlock && e.Outcome == OutcomeGranted, e}
	}
	return decisions, nil
}

// decide returns the record of an unlock. It adds what it grants to the batch, so
// that a later unlock sees it.
func (b *batch) decide(i int, seq int64) Record {
	u := b.unlocks[i]
	if !b.fresh[i] {
		return u.Audit.denied(ReasonNonceUsed, u.NonceUsed)
	}
	if u.Grant == nil {
		return u.Audit
	}
	if reason, texts := b.withdrawn(&u); reason != "" {
		return u.Audit.denied(reason, texts)
	}
	first, held := b.held[u.Grant.ReportID]
	switch {
	case !held && b.exhausted(&u):
		return u.Audit.denied(ReasonLaunchLimit, Denial{"launch_limit",
			fmt.Sprintf("at most %d launches in %s", u.Limit.Max, u.Limit.Period), fmt.Sprintf("%d already", b.launches[u.Grant.ImageID])})
	case !held:
		first = holding{*u.Grant, seq, b.now}
		b.held[u.Grant.ReportID] = first
		b.launches[u.Grant.ImageID]++
		b.granted = append(b.granted, first)
		return u.Audit
	case first.Claim == *u.Grant:
		r := u.Audit.withDetail("first_grant", strconv.FormatInt(first.seq, 10))
		r.Retry = true
		return r
	}
	return u.Audit.denied(ReasonReleased, u.Released).withDetail("first_grant", strconv.FormatInt(first.seq, 10))
}

// denied returns the record as a denial for another reason than it had.
func (r Record) denied(reason string, texts Denial) Record {
	r.Outcome, r.Reason = OutcomeDenied, reason
	r.Rule, r.Expected, r.Found = texts.Rule, texts.Expected, texts.Found
	return r
}
