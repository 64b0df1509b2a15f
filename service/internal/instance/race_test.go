package instance_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestRaces has two replicas decide at the same time, on both databases.
func TestRaces(t *testing.T) {
	var cluster storetest.Cluster
	t.Cleanup(cluster.Stop)
	settings := wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 3, Generation: wire.GenerationReport}
	for name, newDatabase := range map[string]func() storetest.Database{
		"SQLite": func() storetest.Database { return storetest.SQLite(t) }, "PostgreSQL": func() storetest.Database { return storetest.Postgres(t, &cluster) },
	} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase()
			w := newWorldOn(t, db, settings)
			second := db.Open(t, store.Options{Now: w.clock})
			for range 5 {
				w.instance = w.create(t, "vm-"+wire.NewUUID().String())
				w.raceOfClaims(t, second)
				w.instance = w.create(t, "vm-"+wire.NewUUID().String())
				w.raceOfBoots(t, second)
			}
			w.raceOfMaking(t, second)
		})
	}
}

// raceOfClaims claims an instance by two records: one wins, and its disk boots.
func (w *world) raceOfClaims(t *testing.T, second *store.Store) {
	t.Helper()
	_, other := w.replica(second)
	v := w.granted(t, &disk{})
	disks, claims := [2]*disk{{}, {}}, [2]*wire.BootCall{}
	for n := range claims {
		v.disk = disks[n]
		claims[n] = v.newCall(t, wire.CallClaim, v.claimBody(t))
	}
	errs := [2]error{}
	var done sync.WaitGroup
	done.Go(func() { _, errs[0] = w.service.Claim(t.Context(), claims[0], caller()) })
	done.Go(func() { _, errs[1] = other.Claim(t.Context(), claims[1], caller()) })
	done.Wait()
	won := 0
	if errs[0] != nil {
		won = 1
	}
	if errs[won] != nil || !denied(errs[1-won], audit.ReasonInstanceClaimed) {
		t.Fatalf("claims: %v, %v", errs[0], errs[1])
	}
	if got := w.granted(t, disks[won]); got.State != wire.StateClaimed {
		t.Errorf("the winner is given the keys of %s", got.State)
	}
	if err := w.launch(t, disks[1-won]).unlock(t); !denied(err, audit.ReasonInstanceKey) {
		t.Errorf("the loser: %v", err)
	}
}

// raceOfBoots has a boot claim an instance while a copy of it is granted: either the
// claim comes first, and the copy is denied or not decided, or the copy supersedes it.
func (w *world) raceOfBoots(t *testing.T, second *store.Store) {
	t.Helper()
	unlocker, other := w.replica(second)
	first, copied := w.granted(t, &disk{}), w.launch(t, &disk{})
	claim := first.newCall(t, wire.CallClaim, first.claimBody(t))
	request := copied.Request(t, unlocker.Challenge().Nonce)
	var claimed, granted error
	var done sync.WaitGroup
	done.Go(func() { _, claimed = w.service.Claim(t.Context(), claim, caller()) })
	done.Go(func() { _, granted = unlocker.Unlock(t.Context(), request, caller()) })
	done.Wait()
	body, err := json.Marshal(copied.claimBody(t))
	must(t, err)
	late, err := copied.NewBootCall(wire.CallClaim, unlocker.Challenge().Nonce, body)
	must(t, err)
	_, lateErr := other.Claim(t.Context(), late, caller())
	if (claimed == nil) == (lateErr == nil) {
		t.Fatalf("claims: %v and %v, the copy's grant: %v", claimed, lateErr, granted)
	}
	winner := first.disk
	if claimed != nil {
		winner = copied.disk
	}
	if i := w.row(t); i.Sealed != winner.secret.Hash() {
		t.Errorf("claimed by %x", i.Sealed)
	}
}

// raceOfMaking launches unknown instances, more than may be made, each on both replicas.
func (w *world) raceOfMaking(t *testing.T, second *store.Store) {
	t.Helper()
	unlocker, _ := w.replica(second)
	var done sync.WaitGroup
	for range 5 {
		w.instance.ID = wire.NewUUID()
		one, two := w.launch(t, &disk{}), w.launch(t, &disk{})
		a, b := one.Request(t, w.unlocker.Challenge().Nonce), two.Request(t, unlocker.Challenge().Nonce)
		done.Go(func() { w.unlocker.Unlock(t.Context(), a, caller()) }) //nolint:errcheck // how many were made counts
		done.Go(func() { unlocker.Unlock(t.Context(), b, caller()) })   //nolint:errcheck // the same
	}
	done.Wait()
	made, err := w.database.ListInstances(t.Context(), store.InstanceFilter{Image: w.image.ID, Search: "auto-"}, "", store.MaxPage)
	must(t, err)
	if len(made.Items) != 3 {
		t.Errorf("%d instances were made", len(made.Items))
	}
}
