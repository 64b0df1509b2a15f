package access

import (
	"context"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// LoginCounter counts wrong passwords for all replicas; *store.Store is one.
type LoginCounter interface {
	LoginFailures(ctx context.Context, address string, window time.Duration) (store.LoginFailures, error)
	CountLoginFailure(ctx context.Context, address string, window time.Duration) (store.LoginFailures, error)
	ForgiveLoginFailure(ctx context.Context, address string) error
}

// How many wrong passwords are looked at in a window of time. All replicas count
// together; a window begins with its first wrong password.
const (
	guessWindow      = 15 * time.Minute
	guessesByAddress = 10
	guessesByAll     = 300
)

// everyone is the origin of all attempts. It is no address.
const everyone = ""

// ruleAddress and ruleEveryone say how attempts are slowed down in one process,
// before the count of all replicas stops them.
func ruleAddress() rule  { return rule{free: 3, longest: 5 * time.Minute} }
func ruleEveryone() rule { return rule{free: 30, longest: 10 * time.Second} }

// guard slows guessing down and stops it.
type guard struct {
	counter LoginCounter
	delays  *delays
}

func newGuard(counter LoginCounter, now func() time.Time) *guard {
	return &guard{counter, newDelays(now, guessWindow)}
}

// begin counts an attempt as a failure before it is looked at; right takes that
// back. The error is a *LockedError when it is one too many.
func (g *guard) begin(ctx context.Context, address string) error {
	if wait := g.delays.begin(address, ruleAddress()); wait > 0 {
		return &LockedError{wait}
	}
	if wait := g.delays.begin(everyone, ruleEveryone()); wait > 0 {
		g.delays.undo(address)
		return &LockedError{wait}
	}
	counts, err := g.counter.LoginFailures(ctx, address, guessWindow)
	if err != nil {
		return err
	}
	if counts.Address < guessesByAddress && counts.Global < guessesByAll {
		if counts, err = g.counter.CountLoginFailure(ctx, address, guessWindow); err != nil {
			return err
		}
		if counts.Address <= guessesByAddress && counts.Global <= guessesByAll {
			return nil
		}
	}
	return &LockedError{guessWindow}
}

// right forgets the failures of an address that gave the right password.
func (g *guard) right(ctx context.Context, address string) error {
	g.delays.forget(address)
	g.delays.undo(everyone)
	return g.counter.ForgiveLoginFailure(ctx, address)
}
