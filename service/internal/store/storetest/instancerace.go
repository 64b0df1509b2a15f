package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Forty guests claim one new instance on two replicas, each by a key of its own: one
// has it.
func testClaimsRace(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	image, release := withInstances(t, stores[0], Named())
	launch := launchOf(t, stores[0], image, release)
	for _, name := range []string{"a", "b", "c"} {
		i := newInstance(t, stores[0], image.ID, name)
		var mu sync.Mutex
		var wg sync.WaitGroup
		var won [][32]byte
		for n := range 40 {
			hash := Hash()
			wg.Go(func() {
				e, err := stores[n%2].RecordInstanceCall(t.Context(), claimCall(launch, i.ID, hash))
				if err != nil {
					t.Error(err)
				}
				if e.Outcome == audit.OutcomeDone {
					mu.Lock()
					won = append(won, hash)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(won) != 1 || read(t, stores[1], i.ID).Sealed != won[0] {
			t.Errorf("%d claims were taken", len(won))
		}
	}
	if err := stores[0].VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}

// Guests unlock, claim and commit on two replicas while an operator disables, or deletes,
// their instance: nothing is granted or done after the record of that.
func testInstanceDisableRace(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	image, release := withInstances(t, stores[0], Named())
	launch := launchOf(t, stores[0], image, release)
	for name, change := range map[string]func(context.Context, wire.UUID) error{
		"disabled": func(ctx context.Context, id wire.UUID) error { return stores[0].SetInstanceEnabled(ctx, id, false) },
		"deleted":  func(ctx context.Context, id wire.UUID) error { return stores[0].DeleteInstance(ctx, id) },
	} {
		i := newInstance(t, stores[0], image.ID, name)
		makeReady(t, stores[0], launch, i.ID, 1)
		ctx, cancel := context.WithCancel(t.Context())
		granted := make(chan struct{}, 100)
		var wg sync.WaitGroup
		for n := range 6 {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, err := stores[n%2].RecordInstanceCall(ctx, callOf(launch, i.ID, wire.StateReady, func(i *store.Instance) { i.Generation++ }))
					e, unlockErr := stores[n%2].RecordUnlock(ctx, InstanceUnlock(launch, i.ID))
					if err = errors.Join(err, unlockErr); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
					if e.Granted() {
						select {
						case granted <- struct{}{}:
						default:
						}
					}
				}
			})
		}
		for range 10 {
			<-granted
		}
		changed, err := stores[0].Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
			return audit.Record{Outcome: audit.OutcomeDone, Reason: "instance.test", Details: map[string]string{"is": name}}, change(ctx, i.ID)
		})
		if err != nil {
			t.Error(err)
		}
		for range 5 {
			if e, err := stores[1].RecordUnlock(t.Context(), InstanceUnlock(launch, i.ID)); err != nil || e.Granted() {
				t.Errorf("%s: got %+v, %v", name, e, err)
			}
		}
		cancel()
		wg.Wait()
		later, err := stores[0].ListAudit(t.Context(), store.AuditFilter{InstanceID: i.ID}, store.AuditRange{After: changed.Seq})
		if err != nil || len(later) < 5 {
			t.Errorf("%d records, %v", len(later), err)
		}
		for _, e := range later {
			if e.Outcome != audit.OutcomeDenied || e.Reason != "instance_disabled" {
				t.Errorf("after it was %s: got %+v", name, e.Record)
			}
		}
	}
	if err := stores[0].VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}

// Launches of one unknown instance make one, and launches of many no more than the limit.
func testAutoRace(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	image, _ := withInstances(t, stores[0], Auto())
	made := func(ids ...wire.UUID) (there int) {
		t.Helper()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for n, id := range ids {
			i := Instance(image.ID, "")
			i.ID = id
			wg.Go(func() {
				got, err := stores[n%2].EnsureInstance(t.Context(), i, audit.Record{Reason: "instance.created"})
				if err != nil && !errors.Is(err, store.ErrInstanceLimit) || err == nil && got.ID != id {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					there++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return there
	}
	one := make([]wire.UUID, 20)
	for n := range one {
		one[n] = wire.UUID{1}
	}
	if n := made(one...); n != len(one) {
		t.Errorf("%d launches have the instance", n)
	}
	var many []wire.UUID
	for range 20 {
		many = append(many, wire.NewUUID())
	}
	if n := made(many...); n != 1 {
		t.Errorf("%d launches have made the one more that is allowed", n)
	}
	records, err := stores[0].ListAudit(t.Context(), store.AuditFilter{Reason: "instance.created"}, store.AuditRange{})
	counts, countErr := stores[0].CountInstances(t.Context(), image.ID)
	if err := errors.Join(err, countErr, stores[0].VerifyRows(t.Context())); err != nil || len(records) != 2 || counts.New != 2 {
		t.Errorf("%d records, %+v, %v", len(records), counts, err)
	}
}

// An image gives its golden key away while an operator gives it instances: not both.
func testModeRace(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	for range 8 {
		image, release := create(t, stores[0], Image(wire.NewUUID().String()), Release("f", "k", "i"))
		launch := launchOf(t, stores[0], image, release)
		var wg sync.WaitGroup
		var granted bool
		var changed error
		wg.Go(func() {
			e, err := GrantedOf(launch).Write(t.Context(), stores[1])
			if granted = e.Granted(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { changed = stores[0].SetInstanceSettings(t.Context(), image.ID, Named()) })
		wg.Wait()
		if granted == (changed == nil) || changed != nil && !errors.Is(changed, store.ErrChanged) {
			t.Errorf("granted %t, changed: %v", granted, changed)
		}
	}
}
