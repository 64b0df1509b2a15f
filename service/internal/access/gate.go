package access

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Log keeps records of operations; *store.Store does.
type Log interface {
	RecordAdmin(ctx context.Context, record audit.Record) (audit.Entry, error)

	// Audited makes a change and writes its record, both or neither.
	Audited(ctx context.Context, do func(ctx context.Context) (audit.Record, error)) (audit.Entry, error)
}

// Places bounds what goes on at the same time: in all, and for one token or
// session, so that none keeps the others out.
type Places struct{ All, Each int }

// Limits are the places of each kind.
type Limits map[Limit]Places

// DefaultLimits returns limits for a service of its own machine.
func DefaultLimits() Limits {
	return Limits{Followers: {64, 8}, Exports: {8, 3}, Verifications: {2, 1}, Uploads: {4, 2}}
}

// Gate lets operations begin, by role and limit, and puts on record who is refused for
// their role. It is safe for concurrent use.
type Gate struct {
	Log     Log
	Limits  Limits         // not changed while operations begin
	refused *limit.Limiter // records of refusals

	mu    sync.Mutex
	taken map[taker]int // the places; those of all have an empty name
}

// taker is who takes a place.
type taker struct {
	limit Limit
	actor string
}

// refusals bounds what a token of a low role makes the log grow by: one that asks and
// asks is on record, not each time that it asks.
func refusals() (each, all limit.Rate) {
	return limit.Rate{PerSecond: 1.0 / 60, Burst: 5}, limit.Rate{PerSecond: 1.0 / 6, Burst: 50}
}

// NewGate takes the clock, time.Now outside of tests.
func NewGate(log Log, limits Limits, now func() time.Time) *Gate {
	each, all := refusals()
	return &Gate{Log: log, Limits: limits, refused: limit.New(each, all, now), taken: make(map[taker]int)}
}

// ForbiddenError is an operation for which the actor's role is too low.
type ForbiddenError struct{ Role wire.Role } // that is needed

// Error says which role is needed.
func (e *ForbiddenError) Error() string { return fmt.Sprintf("this needs the role %s", e.Role) }

// BusyError is an operation of which as many are under way as there may be.
type BusyError struct {
	Limit Limit
	Each  int // of one token or session; 0: of all
}

// Error says of what there are too many.
func (e *BusyError) Error() string {
	if e.Each == 0 {
		return fmt.Sprintf("too many %s at a time", e.Limit)
	}
	return fmt.Sprintf("too many %s with this token at a time: the limit is %d", e.Limit, e.Each)
}

// Permit checks the actor's role for an operation. The error is a *ForbiddenError; it
// leaves a record, of which there are so many and no more.
func (g *Gate) Permit(ctx context.Context, actor Actor, op Operation) error {
	rule := op.Rule()
	if rule.Role == "" || actor.Secret != "" && actor.Principal.May(rule.Role) {
		return nil
	}
	if g.refused.Take(actor.String()) == 0 {
		record := actor.record(reasonRoleRefused)
		record.Outcome, record.Rule = audit.OutcomeDenied, "role"
		record.Expected, record.Found = string(rule.Role), string(actor.Principal.Role)
		record.Details = map[string]string{"operation": string(op)}
		if _, err := g.Log.RecordAdmin(ctx, record); err != nil {
			return err
		}
	}
	return &ForbiddenError{rule.Role}
}

// record begins a record of what the actor does.
func (a Actor) record(reason audit.Reason) audit.Record {
	return audit.Record{
		Kind: audit.KindAdmin, Outcome: audit.OutcomeDone, Reason: reason,
		RequestID: a.RequestID, Address: a.Address, Actor: a.String(),
	}
}

// Permit is an operation that may take place.
type Permit struct {
	gate  *Gate
	actor Actor
	rule  Rule
	once  sync.Once
}

// Begin checks role and limit of an operation and takes a place, until End. The error
// is a *ForbiddenError or a *BusyError.
func (g *Gate) Begin(ctx context.Context, actor Actor, op Operation) (*Permit, error) {
	if err := g.Permit(ctx, actor, op); err != nil {
		return nil, err
	}
	p := &Permit{gate: g, actor: actor, rule: op.Rule()}
	if p.rule.Limit == NoLimit {
		return p, nil
	}
	places := g.Limits[p.rule.Limit]
	all, each := p.takers()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.taken[all] >= places.All:
		return nil, &BusyError{Limit: p.rule.Limit}
	case g.taken[each] >= places.Each:
		return nil, &BusyError{p.rule.Limit, places.Each}
	}
	g.taken[all]++
	g.taken[each]++
	return p, nil
}

func (p *Permit) takers() (all, each taker) {
	return taker{p.rule.Limit, ""}, taker{p.rule.Limit, p.actor.String()}
}

// End gives the place back. It may be called more than once.
func (p *Permit) End() { p.once.Do(p.leave) }

func (p *Permit) leave() {
	if p.rule.Limit == NoLimit {
		return
	}
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	all, each := p.takers()
	for _, t := range []taker{all, each} {
		if g.taken[t]--; g.taken[t] == 0 {
			delete(g.taken, t)
		}
	}
}

// Record begins the record of the operation.
func (p *Permit) Record() audit.Record { return p.actor.record(p.rule.Reason) }

// Audited makes a change and writes its record, both or neither. do gets the record as
// it is begun and returns it whole; it may run more than once.
func (p *Permit) Audited(ctx context.Context, do func(ctx context.Context, record audit.Record) (audit.Record, error)) error {
	_, err := p.gate.Log.Audited(ctx, func(ctx context.Context) (audit.Record, error) { return do(ctx, p.Record()) })
	return err
}

// Taken returns how many places of a kind are taken.
func (g *Gate) Taken(kind Limit) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken[taker{kind, ""}]
}
