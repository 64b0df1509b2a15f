package instance_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// TestFirstBootAndSecond takes an instance from its golden disk to its second boot.
func TestFirstBootAndSecond(t *testing.T) {
	w := newWorld(t)
	first := w.granted(t, &disk{})
	if first.State != wire.StateNew || !bytes.Equal(first.keys, w.golden.VMK) {
		t.Fatalf("granted %s", first.State)
	}
	must(t, first.claim(t))
	if i := w.row(t); i.State != wire.StateClaimed || i.Sealed != first.disk.secret.Hash() {
		t.Errorf("claimed: %+v", i)
	}
	w.pass(time.Minute)
	must(t, first.ready(t, 1))
	i := w.row(t)
	if i.State != wire.StateReady || i.Generation != 1 || !i.ReadyAt.Equal(w.now) || i.Committed.ReportID != first.Report.ReportID || !i.Committed.At.Equal(w.now) ||
		string(i.Recovery) != "age-encryption.org/v1" {
		t.Errorf("ready: %+v", i)
	}
	w.pass(time.Hour)
	second := w.granted(t, first.disk)
	if second.State != wire.StateReady || second.Generation != 1 || !bytes.Equal(second.keys, first.disk.key) {
		t.Fatalf("granted %s, generation %d", second.State, second.Generation)
	}
	must(t, second.commit(t))
	if i = w.row(t); i.Generation != 2 || i.Committed.ReportID != second.Report.ReportID || !i.Committed.At.Equal(w.now) || i.ReadyAt.Equal(w.now) || len(i.Recovery) == 0 {
		t.Errorf("committed: %+v", i)
	}
	if len(w.rollbacks) != 0 {
		t.Errorf("rollbacks %v", w.rollbacks)
	}
	checkRecords(t, w)
}

// checkRecords looks at what the two boots left in the log.
func checkRecords(t *testing.T, w *world) {
	t.Helper()
	entries, err := w.database.ListAudit(t.Context(), store.AuditFilter{Kind: audit.KindGuest}, store.AuditRange{Limit: 9})
	must(t, err)
	want := []audit.Reason{audit.ReasonInstanceCommitted, audit.ReasonInstanceReady, audit.ReasonInstanceClaim}
	if len(entries) != len(want) {
		t.Fatalf("%d records", len(entries))
	}
	for n, e := range entries {
		if e.Reason != want[n] || e.Outcome != audit.OutcomeDone || e.InstanceID != w.instance.ID || e.ImageID != w.image.ID || e.ReleaseID != w.release.ID ||
			len(e.Report) != 1184 || e.Details["generation"] == "" || e.Details["call"] == "" || e.Retry {
			t.Errorf("recorded %+v", e.Record)
		}
	}
}

// TestInstancesHaveTheirOwnKeys takes two instances from copies of one golden disk.
func TestInstancesHaveTheirOwnKeys(t *testing.T) {
	w := newWorld(t)
	one := w.made(t)
	w.instance = w.create(t, "other")
	if other := w.made(t); bytes.Equal(one.key, other.key) {
		t.Error("the same key")
	}
}

// TestLostAnswers loses the answer of every step, with and without a power cut after it:
// all end in an instance that is ready, and booted.
func TestLostAnswers(t *testing.T) {
	lose := func(t *testing.T, step func(*testing.T) error) { t.Helper(); must(t, step(t)) }
	for _, cut := range []bool{false, true} {
		w := newWorld(t)
		d := &disk{}
		v := w.launch(t, d)
		again := func() { // after a power cut, or in the same boot
			if cut {
				v = w.launch(t, d)
				must(t, v.unlock(t))
			}
		}
		lose(t, v.unlock)
		must(t, v.unlock(t))
		again()
		lose(t, v.claim)
		again()
		must(t, v.claim(t))
		if want := wire.StateClaimed; cut && v.State != want {
			t.Errorf("granted %s, want %s", v.State, want)
		}
		lose(t, func(t *testing.T) error { return v.ready(t, 1) })
		if cut {
			v = w.launch(t, d)
			must(t, v.unlock(t))
			lose(t, v.commit)
			v = w.launch(t, d)
			must(t, v.unlock(t))
			must(t, v.commit(t))
			must(t, v.commit(t))
			if i := w.row(t); i.Generation != 3 {
				t.Errorf("generation %d", i.Generation)
			}
		} else {
			must(t, v.ask(t, wire.CallReady, v.readyBody(1), &wire.InstanceAnswer{}))
			if i := w.row(t); i.Generation != 1 || i.State != wire.StateReady {
				t.Errorf("kept %+v", i)
			}
		}
		if len(w.rollbacks) != 0 {
			t.Errorf("rollbacks %v", w.rollbacks)
		}
	}
}

// TestCutBeforeCommit writes a generation and loses power before it is committed.
func TestCutBeforeCommit(t *testing.T) {
	w := newWorld(t)
	d := w.made(t)
	v := w.granted(t, d)
	d.generations = append(d.generations, w.golden.Generation(t, w.instance.ID, d.key, v.Generation+1))
	v = w.granted(t, d)
	if v.Generation != 2 || len(w.rollbacks) != 0 {
		t.Fatalf("granted generation %d, rollbacks %v", v.Generation, w.rollbacks)
	}
	must(t, v.commit(t))
	if i := w.row(t); i.Generation != 3 {
		t.Errorf("generation %d", i.Generation)
	}
}

// TestAllowedRestore serves one boot, however often that has to be started.
func TestAllowedRestore(t *testing.T) {
	w := newWorldOn(t, storetest.SQLite(t), wire.InstanceSettings{Mode: wire.InstancesNamed, Generation: wire.GenerationEnforce})
	d := w.made(t)
	snapshot := d.copied()
	for range 2 {
		must(t, w.granted(t, d).commit(t))
	}
	w.checkRolledBack(t, snapshot)
	must(t, w.database.AllowRestore(t.Context(), w.instance.ID, 1))
	w.granted(t, snapshot) // and loses power
	v := w.granted(t, snapshot)
	if v.Generation != 3 {
		t.Fatalf("granted generation %d", v.Generation)
	}
	again := snapshot.copied()
	w.pass(store.RestorePeriod) // the boot took long
	must(t, v.commit(t))
	if i := w.row(t); i.Generation != 4 || i.Restore != 0 {
		t.Errorf("kept %+v", i)
	}
	w.checkRolledBack(t, again)
	must(t, w.granted(t, snapshot).commit(t))
	must(t, w.database.AllowRestore(t.Context(), w.instance.ID, 1))
	w.pass(store.RestorePeriod)
	w.checkRolledBack(t, again)
}

// checkRolledBack wants the disk to be denied.
func (w *world) checkRolledBack(t *testing.T, d *disk) {
	t.Helper()
	if err := w.launch(t, d).unlock(t); !denied(err, audit.ReasonRollback) || w.rollbacks[len(w.rollbacks)-1] != unlock.RollbackDenied {
		t.Errorf("got %v, rollbacks %v", err, w.rollbacks)
	}
}

// TestReportedRollback restores a snapshot where that is reported: the disk goes on from
// the generation that the service has.
func TestReportedRollback(t *testing.T) {
	w := newWorld(t)
	d := w.made(t)
	snapshot := d.copied()
	must(t, w.granted(t, d).commit(t))
	v := w.granted(t, snapshot)
	must(t, v.commit(t))
	if i := w.row(t); i.Generation != 3 || len(w.rollbacks) != 1 || w.rollbacks[0] != unlock.RollbackReported {
		t.Errorf("generation %d, rollbacks %v", i.Generation, w.rollbacks)
	}
}

// TestServiceForgot restores the service from before a claim, and before a generation.
func TestServiceForgot(t *testing.T) {
	w := newWorld(t)
	d := w.made(t)
	for range 3 {
		must(t, w.granted(t, d).commit(t))
	}
	// The row as it was before: adopted by its receipt, and asked what it was.
	w.instance.ShareSealed = w.row(t).ShareSealed
	w.forget(t)
	must(t, w.database.AdoptInstance(t.Context(), w.instance.ID, d.secret.Hash()))
	v := w.granted(t, d)
	if v.State != wire.StateClaimed || !bytes.Equal(v.keys, append(bytes.Clone(w.golden.VMK), d.key...)) {
		t.Fatalf("granted %s", v.State)
	}
	must(t, v.ready(t, 5))
	if i := w.row(t); i.State != wire.StateReady || i.Generation != 5 {
		t.Errorf("kept %+v", i)
	}
	// The same boot does not lower it.
	if err := v.ask(t, wire.CallCommit, wire.CommitRequest{Generation: 1}, &wire.InstanceAnswer{}); !denied(err, audit.ReasonGeneration) {
		t.Errorf("got %v", err)
	}
	must(t, w.granted(t, d).commit(t))
}

// forget makes a service whose database has the instance as it was made.
func (w *world) forget(t *testing.T) {
	t.Helper()
	older := newWorldOn(t, storetest.SQLite(t), w.image.Instances)
	_, err := older.database.DeleteImage(t.Context(), older.image.ID)
	must(t, err)
	image, release := w.image, w.release
	image.ID = w.golden.ID
	w.image, w.release, err = older.database.CreateImage(t.Context(), image, release, storetest.Present)
	must(t, err)
	w.database = older.database
	i, err := w.database.CreateInstance(t.Context(), store.Instance{
		ID: w.instance.ID, Image: w.image.ID, Name: "vm", CreatedBy: "admin", ShareSealed: w.instance.ShareSealed,
	})
	must(t, err)
	w.instance = i
	w.unlocker.Launches, w.unlocker.Instances, w.unlocker.Tally = w.database, w.database, unlock.NewTally(w.database, nil)
}

// TestTrouble fails what the service depends on: the guest may try again.
func TestTrouble(t *testing.T) {
	w := newWorld(t)
	v := w.granted(t, &disk{})
	w.recording = errors.New("connection refused")
	if err := v.claim(t); !errors.Is(err, unlock.ErrUnavailable) {
		t.Errorf("recording: %v", err)
	}
	w.recording = nil
	w.service.Shares = failing{}
	if err := v.claim(t); !errors.Is(err, unlock.ErrUnavailable) {
		t.Errorf("share: %v", err)
	}
	w.service.Shares = w.kek
	must(t, v.claim(t))
}

type failing struct{}

func (failing) NewShare(wire.UUID) ([]byte, error)          { return nil, errors.New("wrong key") }
func (failing) OpenShare(wire.UUID, []byte) ([]byte, error) { return nil, errors.New("wrong key") }
