package storetest

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Whoever writes to the database changes each column of an instance: nothing is granted
// or changed that rests on it.
func testInstanceForged(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i := newInstance(t, s, image.ID, "web-1")
	makeReady(t, s, launch, i.ID, 4)
	d.exec(t, q(`CREATE TABLE old_instances AS SELECT * FROM instances`)...)
	uses := func() map[string]error {
		_, byID := s.InstanceByID(t.Context(), i.ID)
		_, listed := s.ListInstances(t.Context(), store.InstanceFilter{}, "", 0)
		_, unlocked := s.RecordUnlock(t.Context(), InstanceUnlock(launch, i.ID))
		_, called := s.RecordInstanceCall(t.Context(), callOf(launch, i.ID, wire.StateReady, func(*store.Instance) {}))
		return map[string]error{
			"read": byID, "list": listed, "unlock": unlocked, "call": called, "enable": s.SetInstanceEnabled(t.Context(), i.ID, true),
		}
	}
	for column, value := range map[string]any{
		"enabled": false, "auto": true, "name": "web-2", "created_at": 1, "created_by": "x", "state": "new", "sealed": make([]byte, 32),
		"share_sealed": []byte("x"), "recovery_sha256": make([]byte, 32), "granted_report_id": make([]byte, 32), "granted_boot_key": make([]byte, 32),
		"granted_release": make([]byte, 16), "granted_generation": 9, "granted_at": 9, "generation": 9, "committed_report_id": make([]byte, 32),
		"committed_boot_key": make([]byte, 32), "committed_release": make([]byte, 16), "committed_generation": 9, "committed_at": 9, "ready_at": 9,
		"restore_generation": 9, "restore_until": 9,
	} {
		if err := unlockAndCall(t, s, launch, i.ID); err != nil {
			t.Fatalf("before %s: %v", column, err)
		}
		d.exec(t, q(`DELETE FROM old_instances`)...)
		d.exec(t, q(`INSERT INTO old_instances SELECT * FROM instances`)...)
		d.exec(t, q(`UPDATE instances SET `+column+` = $1`, value)...)
		for use, err := range uses() {
			if !errors.Is(err, store.ErrTampered) {
				t.Errorf("%s: %s: got %v", column, use, err)
			}
		}
		d.exec(t, append(q(`DELETE FROM instances`), q(`INSERT INTO instances SELECT * FROM old_instances`)...)...)
	}
	d.exec(t, q(`UPDATE instances SET recovery = $1`, []byte("another's"))...)
	if got := uses(); !errors.Is(got["read"], store.ErrTampered) || !errors.Is(got["call"], store.ErrTampered) {
		t.Errorf("another recovery: %v", got)
	}
	d.exec(t, q(`UPDATE instances SET recovery = NULL`)...)
	if got := uses(); !errors.Is(got["read"], store.ErrTampered) {
		t.Errorf("no recovery: %v", got)
	}
}

func unlockAndCall(t *testing.T, s *store.Store, launch store.Launch, id wire.UUID) error {
	t.Helper()
	e, err := s.RecordUnlock(t.Context(), InstanceUnlock(launch, id))
	if err != nil || !e.Granted() {
		return errors.Join(err, errors.New(e.Outcome))
	}
	e, err = s.RecordInstanceCall(t.Context(), callOf(launch, id, wire.StateReady, func(*store.Instance) {}))
	if err != nil || e.Outcome != audit.OutcomeDone {
		return errors.Join(err, errors.New(e.Outcome))
	}
	return nil
}

// Rows that were genuine once are put back, and taken away: a claim that was reset, a
// generation that was newer, an instance that was deleted.
func testInstancePutBack(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i, gone := newInstance(t, s, image.ID, "web-1"), newInstance(t, s, image.ID, "gone")
	call := claimCall(launch, i.ID, Hash())
	call.Nonce.Expires = clock.Now().Add(2 * store.UndoPeriod)
	d.exec(t, q(`CREATE TABLE new_instance AS SELECT * FROM instances`)...)
	done(t, s, call)
	d.exec(t, q(`CREATE TABLE claimed_instance AS SELECT * FROM instances`)...)
	if err := errors.Join(s.ResetInstance(t.Context(), i.ID, []byte("share")), s.DeleteInstance(t.Context(), gone.ID)); err != nil {
		t.Fatal(err)
	}
	clock.Advance(store.UndoPeriod)
	if n, err := s.PurgeInstances(t.Context()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	d.exec(t, append(q(`CREATE TABLE now_instance AS SELECT * FROM instances`), q(`CREATE TABLE now_tombstones AS SELECT * FROM instance_tombstones`)...)...)
	put := func(table string) []query {
		return append(q(`DELETE FROM instances`), q(`INSERT INTO instances SELECT * FROM `+table)...)
	}
	for name, forge := range map[string][]query{
		"before the claim": put("new_instance"), "the claim": put("claimed_instance"), "none": q(`DELETE FROM instances`),
		"no tombstones": q(`DELETE FROM instance_tombstones`), "a tombstone less": q(`DELETE FROM instance_tombstones WHERE instance_id = $1`, gone.ID[:]),
	} {
		d.exec(t, forge...)
		again, err := store.Open(t.Context(), d.DSN, store.Options{Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Authenticate(t.Context(), RowKey()); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := again.RecordInstanceCall(t.Context(), call); !errors.Is(err, store.ErrTampered) {
			t.Errorf("%s: a call is recorded: %v", name, err)
		}
		d.exec(t, append(put("now_instance"), append(q(`DELETE FROM instance_tombstones`), q(`INSERT INTO instance_tombstones SELECT * FROM now_tombstones`)...)...)...)
		if err := errors.Join(again.Close(), s.VerifyRows(t.Context())); err != nil {
			t.Fatalf("%s was mended: %v", name, err)
		}
	}
	d.exec(t, q(`UPDATE instance_tombstones SET deleted_at = 1`)...)
	forged := Instance(image.ID, "again")
	forged.ID = gone.ID
	if _, err := s.CreateInstance(t.Context(), forged); !errors.Is(err, store.ErrTampered) {
		t.Errorf("a forged tombstone: %v", err)
	}
}
