package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// After a reset nothing is left of a claim, but that it does not come back.
func testInstanceReset(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i, other := newInstance(t, s, image.ID, "web-1"), newInstance(t, s, image.ID, "web-2")
	sealed := makeReady(t, s, launch, i.ID, 3)
	if err := s.ResetInstance(t.Context(), i.ID, []byte("another share")); err != nil {
		t.Fatal(err)
	}
	want := i
	want.ShareSealed = []byte("another share")
	if got := read(t, s, i.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, id := range []wire.UUID{i.ID, other.ID} {
		if err := s.AdoptInstance(t.Context(), id, sealed); !errors.Is(err, store.ErrDeleted) || read(t, s, id).State != wire.StateNew {
			t.Errorf("the claim is back: %v", err)
		}
		if _, err := s.RecordInstanceCall(t.Context(), claimCall(launch, id, sealed)); !errors.Is(err, store.ErrDeleted) || read(t, s, id).State != wire.StateNew {
			t.Errorf("the claim is back: %v", err)
		}
	}
	if err := s.ResetInstance(t.Context(), i.ID, []byte("one more")); err != nil { // of a new one
		t.Error(err)
	}
	again := makeReady(t, s, launch, i.ID, 1)
	if err := errors.Join(s.ResetInstance(t.Context(), i.ID, []byte("share")), s.VerifyRows(t.Context())); err != nil {
		t.Error(err)
	}
	if err := s.AdoptInstance(t.Context(), i.ID, again); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the second claim is back: %v", err)
	}
}

func testInstanceDeleted(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := withInstances(t, s, Named())
	i := newInstance(t, s, image.ID, "web-1")
	if err := s.UndeleteInstance(t.Context(), i.ID); !errors.Is(err, store.ErrChanged) {
		t.Errorf("of one that is not deleted: %v", err)
	}
	if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ err, want error }{
		"delete":        {s.DeleteInstance(t.Context(), i.ID), store.ErrChanged},
		"enable":        {s.SetInstanceEnabled(t.Context(), i.ID, true), store.ErrChanged},
		"reset":         {s.ResetInstance(t.Context(), i.ID, []byte("share")), store.ErrChanged},
		"adopt":         {s.AdoptInstance(t.Context(), i.ID, Hash()), store.ErrChanged},
		"restore":       {s.AllowRestore(t.Context(), i.ID, 1), store.ErrChanged},
		"delete no one": {s.DeleteInstance(t.Context(), wire.NewUUID()), store.ErrNotFound},
		"undelete none": {s.UndeleteInstance(t.Context(), wire.NewUUID()), store.ErrNotFound},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, tc.err, tc.want)
		}
	}
	if _, err := s.CreateInstance(t.Context(), Instance(image.ID, i.Name)); !errors.Is(err, store.ErrNameTaken) {
		t.Errorf("its name: %v", err)
	}
	clock.Advance(store.UndoPeriod - time.Second)
	if n, err := s.PurgeInstances(t.Context()); n != 0 || err != nil {
		t.Errorf("%d are gone too early, %v", n, err)
	}
	if err := s.UndeleteInstance(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
	if got := read(t, s, i.ID); !reflect.DeepEqual(got, i) {
		t.Errorf("got %+v, want %+v", got, i)
	}
	if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
		t.Error(err)
	}
	clock.Advance(store.UndoPeriod)
	if err := s.UndeleteInstance(t.Context(), i.ID); !errors.Is(err, store.ErrChanged) {
		t.Errorf("after the day of undo: %v", err)
	}
}

// Shares are destroyed with a record of each, and neither ID nor hash comes back.
func testInstancePurge(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, _ := withInstances(t, s, Named())
	const many = 205 // more than one transaction takes
	var hashes [][32]byte
	var ids []wire.UUID
	for n := range many {
		i := newInstance(t, s, image.ID, fmt.Sprint("web-", n))
		hash := Hash()
		if n == 0 {
			hash = [32]byte{}
		} else if err := s.AdoptInstance(t.Context(), i.ID, hash); err != nil {
			t.Fatal(err)
		}
		ids, hashes = append(ids, i.ID), append(hashes, hash)
		if err := s.DeleteInstance(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	kept := newInstance(t, s, image.ID, "kept")
	clock.Advance(store.UndoPeriod)
	if n, err := s.PurgeInstances(t.Context()); n != many || err != nil {
		t.Errorf("%d are gone, %v", n, err)
	}
	if n, err := s.PurgeInstances(t.Context()); n != 0 || err != nil {
		t.Errorf("%d more are gone, %v", n, err)
	}
	for n, id := range ids {
		if _, err := s.InstanceByID(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%d is there: %v", n, err)
		}
		records, err := s.ListAudit(t.Context(), store.AuditFilter{InstanceID: id}, store.AuditRange{})
		if err != nil || len(records) != 1 || records[0].Reason != audit.ReasonInstanceDestroyed || records[0].ImageID != image.ID || records[0].Details["name"] != fmt.Sprint("web-", n) {
			t.Fatalf("records %+v, %v", records, err)
		}
	}
	again := Instance(image.ID, "web-7") // the name is free
	again.ID = ids[7]
	if _, err := s.CreateInstance(t.Context(), again); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the ID is back: %v", err)
	}
	newInstance(t, s, image.ID, "web-7")
	if err := s.AdoptInstance(t.Context(), kept.ID, hashes[7]); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("the hash is back: %v", err)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
	d.exec(t, q(`DELETE FROM instance_tombstones`)...)
	if err := s.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("without tombstones: %v", err)
	}
}

// The instances of an image go with it, and neither they nor their disks come back.
func testInstanceImageDeleted(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := withInstances(t, s, Named())
	other, _ := withInstances(t, s, Named())
	var ids []wire.UUID
	for n := range 3 {
		ids = append(ids, newInstance(t, s, image.ID, fmt.Sprint("web-", n)).ID)
	}
	hash := Hash()
	kept := newInstance(t, s, other.ID, "kept")
	if err := errors.Join(s.AdoptInstance(t.Context(), ids[0], hash), s.DeleteInstance(t.Context(), ids[1])); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, err := s.InstanceByID(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		i := Instance(other.ID, "again")
		i.ID = id
		if _, err := s.CreateInstance(t.Context(), i); !errors.Is(err, store.ErrDeleted) {
			t.Errorf("an ID is back: %v", err)
		}
	}
	if err := s.AdoptInstance(t.Context(), kept.ID, hash); !errors.Is(err, store.ErrDeleted) {
		t.Errorf("a hash is back: %v", err)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}
