package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func fleetTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"fleet sightings":       testSightings,
		"fleet confirmations":   testConfirmations,
		"fleet one nonce":       testSightingNonce,
		"fleet bound":           testFleetBound,
		"fleet pages":           testMachinePages,
		"fleet waiting":         testWaiting,
		"fleet deleted image":   testSightingOfDeleted,
		"fleet releases":        testReleasesOfKernels,
		"fleet refused":         testSightingRefusals,
		"fleet many at once":    testSightingsTogether,
		"fleet confirmed twice": testConfirmedTogether,
	}
}

// Sighting returns a guest of a release that asks for an update, with a fresh nonce.
func Sighting(image, release wire.UUID, machine byte, kernels ...store.MachineKernel) store.Sighting {
	return store.Sighting{
		Nonce: store.Nonce{Hash: Hash(), Expires: time.Now().Add(time.Minute)}, Image: image, Release: release, Machine: wire.UUID{15: machine},
		State: &store.MachineState{Running: "6.12.1", Kernels: kernels},
	}
}

func confirmation(image, release wire.UUID, machine byte) store.Sighting {
	v := Sighting(image, release, machine)
	v.State, v.Confirmed = nil, &audit.Record{Reason: audit.ReasonConfirmed, ImageID: image, ReleaseID: release}
	return v
}

func sight(t *testing.T, s *store.Store, v store.Sighting) store.Sighted {
	t.Helper()
	done, err := s.RecordSighting(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func machines(t *testing.T, s *store.Store, image wire.UUID) []store.Machine {
	t.Helper()
	page, err := s.ListMachines(t.Context(), image, "", store.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	return page.Items
}

func kernel(name string, newer bool) store.MachineKernel {
	return store.MachineKernel{Release: name, SHA256: Artifact(name).SHA256, Newer: newer}
}

func testSightings(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := create(t, s, Image("fleet"), Release("f", "k", "i"))
	v := Sighting(image.ID, release.ID, 1, kernel("6.12.1", false), kernel("6.12.2", true))
	v.Nonce.Expires = clock.Now().Add(time.Minute)
	v.State.Failed = wire.UUID{9}
	if got := sight(t, s, v); got != (store.Sighted{}) {
		t.Errorf("got %+v", got)
	}
	all := machines(t, s, image.ID)
	if len(all) != 1 || all[0].ID != v.Machine || all[0].Release != release.ID || all[0].Running != "6.12.1" || all[0].Failed != v.State.Failed ||
		!all[0].Confirmed.IsZero() || !all[0].SeenAt.Equal(clock.Now()) || !slices.Equal(all[0].Kernels, v.State.Kernels) {
		t.Errorf("kept %+v", all)
	}
	clock.Advance(time.Hour)
	again := Sighting(image.ID, release.ID, 1, kernel("6.12.2", false))
	again.Nonce.Expires, again.State.Running = clock.Now().Add(time.Minute), "6.12.2"
	sight(t, s, again)
	all = machines(t, s, image.ID)
	if len(all) != 1 || !all[0].SeenAt.Equal(clock.Now()) || all[0].Running != "6.12.2" || !all[0].Failed.IsZero() || !slices.Equal(all[0].Kernels, again.State.Kernels) {
		t.Errorf("kept %+v", all)
	}
	if n, err := s.Count(t.Context()); err != nil || n.AuditRecords != 0 {
		t.Errorf("asking left %d records, %v", n.AuditRecords, err)
	}
}

// A confirmation counts for the release of the report, and leaves one record.
func testConfirmations(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("fleet"), Release("f", "k", "i"))
	for i, want := range []bool{true, false} {
		if got := sight(t, s, confirmation(image.ID, release.ID, 1)); got.First != want {
			t.Errorf("confirmation %d: %+v", i, got)
		}
	}
	sight(t, s, Sighting(image.ID, release.ID, 1))
	sight(t, s, confirmation(image.ID, release.ID, 2))
	sight(t, s, Sighting(image.ID, wire.UUID{7}, 2))
	m := machines(t, s, image.ID)
	if len(m) != 2 || m[0].Confirmed != release.ID || m[0].ConfirmedAt.IsZero() || m[1].Release != (wire.UUID{7}) || m[1].Confirmed != release.ID {
		t.Errorf("kept %+v", m)
	}
	fleet, err := s.Fleet(t.Context(), image.ID)
	uses := map[wire.UUID]store.ReleaseGuests{}
	for _, u := range fleet.Releases {
		uses[u.Release] = u
	}
	if err != nil || fleet.Machines != 2 || uses[release.ID].Running != 1 || uses[release.ID].Confirmed != 2 || uses[wire.UUID{7}].Running != 1 {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
	entries, err := s.ListAudit(t.Context(), store.AuditFilter{Kind: audit.KindGuest}, store.AuditRange{Limit: 9})
	if err != nil || len(entries) != 2 || entries[0].Reason != audit.ReasonConfirmed || entries[0].Outcome != audit.OutcomeDone || entries[0].ReleaseID != release.ID {
		t.Errorf("records %+v, %v", entries, err)
	}
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

func testSightingNonce(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, release := Standing()
	v := Sighting(image.ID, release.ID, 1)
	sight(t, s, v)
	v.Machine[0], v.State.Running = 1, "another"
	if got := sight(t, s, v); !got.NonceUsed {
		t.Errorf("got %+v", got)
	}
	if m := machines(t, s, image.ID); len(m) != 1 || m[0].Running != "6.12.1" {
		t.Errorf("a replay was kept: %+v", m)
	}
	// A nonce of an unlock is no other's.
	u := Granted(t, s)
	record(t, s, u)
	v.Nonce = *u.Nonce
	if got := sight(t, s, v); !got.NonceUsed {
		t.Errorf("got %+v", got)
	}
}

// testFleetBound makes more machines than are kept.
func testFleetBound(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now, MaxMachines: 3})
	image, release := create(t, s, Image("fleet"), Release("f", "k", "i"))
	other, otherRelease := create(t, s, Image("other"), Release("f", "k", "i"))
	at := func(v store.Sighting) store.Sighting {
		clock.Advance(time.Second)
		v.Nonce.Expires = clock.Now().Add(time.Minute)
		return v
	}
	sight(t, s, at(Sighting(other.ID, otherRelease.ID, 1)))
	for _, machine := range []byte{1, 2, 3, 1, 4, 5} {
		sight(t, s, at(Sighting(image.ID, release.ID, machine, kernel("6", false))))
	}
	var left []byte
	for _, m := range machines(t, s, image.ID) {
		left = append(left, m.ID[15])
	}
	if !slices.Equal(left, []byte{1, 4, 5}) || len(machines(t, s, other.ID)) != 1 {
		t.Errorf("left %v", left)
	}
}

func testMachinePages(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, release := Standing()
	for i := range byte(5) {
		sight(t, s, Sighting(image.ID, release.ID, i+1, kernel(fmt.Sprint(i), false)))
	}
	var got []byte
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		page, err := s.ListMachines(t.Context(), image.ID, cursor, 2)
		if err != nil || pages > 2 {
			t.Fatal(pages, err)
		}
		for _, m := range page.Items {
			if got = append(got, m.ID[15]); len(m.Kernels) != 1 || m.Kernels[0].Release != fmt.Sprint(m.ID[15]-1) {
				t.Errorf("kernels of %s: %+v", m.ID, m.Kernels)
			}
		}
		cursor = page.Next
	}
	if !slices.Equal(got, []byte{1, 2, 3, 4, 5}) {
		t.Errorf("listed %v", got)
	}
	for _, cursor := range []string{"x", "00000000-0000-0000-0000-00000000000G", "00000000-0000-0000-0000-00000000000A"} {
		if _, err := s.ListMachines(t.Context(), image.ID, cursor, 2); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// testWaiting counts the kernels that no release has.
func testWaiting(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, release := Standing()
	sight(t, s, Sighting(image.ID, release.ID, 1, kernel("standing kernel", true), kernel("6.13", true), kernel("6.11", false)))
	sight(t, s, Sighting(image.ID, release.ID, 2, kernel("6.13", true), kernel("6.14", true)))
	fleet, err := s.Fleet(t.Context(), image.ID)
	want := []store.WaitingKernel{
		{Kernel: "6.13", SHA256: Artifact("6.13").SHA256, Machines: 2}, {Kernel: "6.14", SHA256: Artifact("6.14").SHA256, Machines: 1},
	}
	if err != nil || !slices.Equal(fleet.Waiting, want) {
		t.Fatalf("waiting %+v, %v", fleet.Waiting, err)
	}
	if _, err := s.AddRelease(t.Context(), image.ID, Release("f", "6.13", "i"), Present); err != nil {
		t.Fatal(err)
	}
	if fleet, err = s.Fleet(t.Context(), image.ID); err != nil || len(fleet.Waiting) != 1 {
		t.Errorf("with a release: %+v, %v", fleet.Waiting, err)
	}
}

func testSightingOfDeleted(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("fleet"), Release("f", "k", "i"))
	sight(t, s, Sighting(image.ID, release.ID, 1, kernel("6", true)))
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	for _, v := range []store.Sighting{Sighting(image.ID, release.ID, 1), confirmation(image.ID, release.ID, 1)} {
		if got := sight(t, s, v); got.First {
			t.Errorf("got %+v", got)
		}
	}
	fleet, err := s.Fleet(t.Context(), image.ID)
	if err != nil || fleet.Machines != 0 || len(fleet.Waiting) != 0 || len(machines(t, s, image.ID)) != 0 {
		t.Errorf("left %+v, %v", fleet, err)
	}
}

func testReleasesOfKernels(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, first := Standing()
	_, _ = create(t, s, Image("other"), Release("f", "6.13", "i"))
	second, err := s.AddRelease(t.Context(), image.ID, Release("f", "6.13", "i"), Present)
	if err != nil {
		t.Fatal(err)
	}
	all := [][32]byte{first.Kernel.SHA256, second.Kernel.SHA256, Hash()}
	for _, tc := range []struct {
		kernels [][32]byte
		want    []wire.UUID
	}{{nil, nil}, {all[2:], nil}, {all[1:], []wire.UUID{second.ID}}, {all, []wire.UUID{second.ID, first.ID}}} {
		got, err := s.ReleasesOfKernels(t.Context(), image.ID, tc.kernels)
		var ids []wire.UUID
		for _, r := range got {
			ids = append(ids, r.ID)
		}
		if err != nil || !slices.Equal(ids, tc.want) {
			t.Errorf("%d kernels: %v, %v", len(tc.kernels), ids, err)
		}
	}
}

func testSightingRefusals(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, release := Standing()
	for name, change := range map[string]func(*store.Sighting){
		"no machine":   func(v *store.Sighting) { v.Machine = wire.UUID{} },
		"no image":     func(v *store.Sighting) { v.Image = wire.UUID{} },
		"no release":   func(v *store.Sighting) { v.Release = wire.UUID{} },
		"many kernels": func(v *store.Sighting) { v.State.Kernels = make([]store.MachineKernel, wire.MaxKernels+1) },
		"NUL":          func(v *store.Sighting) { v.State.Running = "6\x00" },
		"no text":      func(v *store.Sighting) { v.State.Kernels = []store.MachineKernel{{Release: "\xff"}} },
	} {
		v := Sighting(image.ID, release.ID, 1)
		change(&v)
		if _, err := s.RecordSighting(t.Context(), v); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// testSightingsTogether has many guests ask at once, also the same one twice.
func testSightingsTogether(t *testing.T, d Database) {
	s, replica := d.OpenStanding(t), d.Open(t)
	image, release := Standing()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			to := []*store.Store{s, replica}[i%2]
			if _, err := to.RecordSighting(t.Context(), Sighting(image.ID, release.ID, byte(i/2+1), kernel(fmt.Sprint(i), true))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := machines(t, s, image.ID)
	if len(got) != 100 {
		t.Fatalf("%d machines", len(got))
	}
	for _, m := range got {
		if len(m.Kernels) != 1 {
			t.Errorf("%s has %+v", m.ID, m.Kernels)
		}
	}
}

// testConfirmedTogether confirms the same boot many times at once.
func testConfirmedTogether(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	image, release := Standing()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.RecordSighting(t.Context(), confirmation(image.ID, release.ID, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := s.Count(t.Context()); err != nil || n.AuditRecords != 1 {
		t.Errorf("%d records, %v", n.AuditRecords, err)
	}
}
