package kds

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
)

// ErrBudget is a certificate that is not cached, and that strangers may not have
// fetched now. It comes with ErrUnavailable: later they may.
var ErrBudget = errors.New("too many certificates of other chips were asked for")

// Asker is on whose behalf KDS is asked.
type Asker struct {
	Block    string // what counts as one address, see limit.Origin
	Operator bool   // nobody else: there is no budget
}

// Operator returns the asker that may fetch whatever is wanted.
func Operator() Asker { return Asker{Operator: true} }

// Budget bounds the requests to KDS that strangers can cause: everybody can show a
// report with a chip ID of their own making, and whether it is forged turns out
// when there is a certificate. Zero values mean the defaults, which are in the
// comments.
type Budget struct {
	// Unknown are requests for chips that were not seen before, of each address and
	// of all: 1 in 5 s and 20 at once, 1 a second and 60 at once.
	Unknown, UnknownAll limit.Rate

	// Seen are requests for one chip that was seen before, at a TCB version at
	// which it was not: of each address, 1 in 2 min and 5 at once. Chip are those for
	// any one chip, of all addresses: 1 a minute and 10 at once.
	Seen, Chip limit.Rate
}

func (b Budget) withDefaults() Budget {
	for _, r := range []struct {
		value   *limit.Rate
		instead limit.Rate
	}{
		{&b.Unknown, limit.Rate{PerSecond: 0.2, Burst: 20}},
		{&b.UnknownAll, limit.Rate{PerSecond: 1, Burst: 60}},
		{&b.Seen, limit.Rate{PerSecond: 1.0 / 120, Burst: 5}},
		{&b.Chip, limit.Rate{PerSecond: 1.0 / 60, Burst: 10}},
	} {
		if *r.value == (limit.Rate{}) {
			*r.value = r.instead
		}
	}
	return b
}

// Names of budgets, as Config.Refused is told them.
const (
	BudgetUnknown = "unknown" // of chips not seen before
	BudgetSeen    = "seen"    // of a chip seen before, for one address
	BudgetChip    = "chip"    // of one chip, for all
)

// admission decides which lookups may become requests, and in which lane.
type admission struct {
	unknown, seen, chips *limit.Limiter
	before               func(context.Context, Key) (bool, error)
	refused              func(name string)

	mu     sync.Mutex
	asking map[Key]int // who waits for a request that is paid for
}

func newAdmission(cfg Config) *admission {
	b := cfg.Budget
	return &admission{
		unknown: limit.New(b.Unknown, b.UnknownAll, cfg.Clock),
		seen:    limit.New(b.Seen, limit.Unlimited(), cfg.Clock),
		chips:   limit.New(b.Chip, limit.Unlimited(), cfg.Clock),
		before:  cfg.Seen, refused: cfg.Refused, asking: make(map[Key]int),
	}
}

// admit pays for a request for a VCEK, unless somebody has who still waits for
// it. leave has to be called when it is over. The error wraps ErrBudget, or is
// that of Config.Seen.
func (a *admission) admit(ctx context.Context, asker Asker, key Key) (in lane, leave func(), err error) {
	if asker.Operator {
		return laneSeen, func() {}, nil
	}
	known, err := a.before(ctx, key)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: was the chip seen before? %w", key, err)
	}
	in = laneUnknown
	if known {
		in = laneSeen
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asking[key] == 0 {
		if name := a.take(in, asker.Block, fmt.Sprintf("%x", key.ChipID)); name != "" {
			a.refused(name)
			return 0, nil, fmt.Errorf("%s: %w: %w", key, ErrUnavailable, ErrBudget)
		}
	}
	a.asking[key]++
	return in, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.asking[key]--; a.asking[key] == 0 {
			delete(a.asking, key)
		}
	}, nil
}

// take returns the name of the budget that is used up, or "". What an address has
// of its own comes first, so that one of them does not use up what all have.
func (a *admission) take(in lane, block, chip string) (name string) {
	switch {
	case in == laneUnknown && a.unknown.Take(block) > 0:
		return BudgetUnknown
	case in == laneSeen && a.seen.Take(block+" "+chip) > 0:
		return BudgetSeen
	case a.chips.Take(chip) > 0:
		return BudgetChip
	}
	return ""
}
