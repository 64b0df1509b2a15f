package store

import (
	"context"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// pruneEvery is how often a batch also forgets old nonces.
const pruneEvery = 10 * time.Second

// batch is the unlocks of one transaction, with what the database has about them.
type batch struct {
	unlocks   []Unlock
	fresh     []bool                 // nonce i was not used before
	held      map[[32]byte]Grant     // by REPORT_ID
	standings map[wire.UUID]Standing // of releases that there are
	launches  map[wire.UUID]int64    // of images with a limit, within its period
	instances map[wire.UUID]*used    // that are named and there are
	granted   []Grant                // REPORT_IDs granted here for the first time
	now       time.Time
}

// commit writes a batch in one transaction.
func (s *Store) commit(ctx context.Context, unlocks []Unlock) ([]audit.Entry, error) {
	now := s.clock()
	prune := now.Sub(s.pruned) >= pruneEvery
	var entries []audit.Entry
	err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		if entries, err = s.record(ctx, q, unlocks, now); err != nil || !prune {
			return err
		}
		return pruneNonces(ctx, q, now)
	})
	if err == nil && prune {
		s.pruned = now
	}
	return entries, err
}

// record has all unlocks decided, in order, and writes what was decided.
func (s *Store) record(ctx context.Context, q querier, unlocks []Unlock, now time.Time) ([]audit.Entry, error) {
	// The lock on the chain is also what makes two replicas decide one after
	// the other about the same nonce or launch.
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return nil, err
	}
	b, err := s.gather(ctx, q, unlocks, now)
	if err != nil {
		return nil, err
	}
	records := make([]audit.Record, len(unlocks))
	for i := range unlocks {
		if records[i], err = b.decide(i, at.Seq+1+int64(i)); err != nil {
			return nil, err
		}
		records[i].Time = now
	}
	if err := insertGrants(ctx, q, b.granted); err != nil {
		return nil, err
	}
	if err := s.writeUses(ctx, q, b.instances); err != nil {
		return nil, err
	}
	return s.appendRecords(ctx, q, at, records)
}

// gather looks up what the database has about unlocks, and uses up their nonces.
func (s *Store) gather(ctx context.Context, q querier, unlocks []Unlock, now time.Time) (*batch, error) {
	b := &batch{unlocks: unlocks, now: now}
	nonces := make([]*Nonce, len(unlocks))
	for i := range unlocks {
		nonces[i] = unlocks[i].Nonce
	}
	var err error
	if b.fresh, err = useNonces(ctx, q, nonces); err != nil {
		return nil, err
	}
	if b.held, err = findGrants(ctx, q, unlocks); err != nil {
		return nil, err
	}
	if b.standings, err = findStandings(ctx, q, unlocks); err != nil {
		return nil, err
	}
	if b.instances, err = s.findInstances(ctx, q, unlocks); err != nil {
		return nil, err
	}
	b.launches, err = countLaunches(ctx, q, unlocks, now)
	return b, err
}

// decide returns the record of an unlock. It adds what is granted to the batch, so
// that a later unlock sees it.
func (b *batch) decide(i int, seq int64) (audit.Record, error) {
	u := &b.unlocks[i]
	facts := Facts{NonceUsed: !b.fresh[i]}
	if u.Claim == nil {
		return u.Decide(u.Audit, facts), nil
	}
	if standing, found := b.standings[u.Claim.ReleaseID]; found {
		facts.Standing = &standing
	}
	if first, found := b.held[u.Claim.ReportID]; found {
		facts.First = &first
	}
	facts.Launches = b.launches[u.Claim.ImageID]
	facts.Instance = b.instance(u.Instance)
	record := u.Decide(u.Audit, facts)
	if record.Granted() && facts.First == nil {
		first := Grant{*u.Claim, seq, b.now}
		b.held[u.Claim.ReportID] = first
		b.launches[u.Claim.ImageID]++
		b.granted = append(b.granted, first)
		return record, b.use(u.Instance)
	}
	return record, nil
}
