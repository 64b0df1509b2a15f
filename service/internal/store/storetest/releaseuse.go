package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func testReleaseUse(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	if use, err := s.ReleaseUse(t.Context(), release.ID); err != nil || use != (store.ReleaseUse{}) {
		t.Errorf("got %+v, %v", use, err)
	}
	launch := launchOf(t, s, image, release)
	record(t, s, GrantedOf(launch))
	clock.Advance(store.UsePeriod + time.Second)
	if use, err := s.ReleaseUse(t.Context(), release.ID); err != nil || use.GrantedAt.IsZero() || use.Launches != 0 {
		t.Errorf("long ago: got %+v, %v", use, err)
	}
	last := clock.Now()
	for range 2 {
		u := GrantedOf(launch)
		u.Nonce.Expires = clock.Now().Add(time.Minute)
		record(t, s, u)
	}
	if use, err := s.ReleaseUse(t.Context(), release.ID); err != nil || !use.GrantedAt.Equal(last) || use.Launches != 2 {
		t.Errorf("got %+v, %v, want 2 at %s", use, err, last)
	}
}

// staleIDs returns the releases that are to retire by themselves.
func staleIDs(t *testing.T, s *store.Store) (ids []wire.UUID) {
	t.Helper()
	found, err := s.StaleReleases(t.Context())
	must(t, err)
	for _, f := range found {
		ids = append(ids, f.Release)
	}
	return ids
}

// seen has machines run a release.
func seen(t *testing.T, s *store.Store, clock *Clock, r store.Release, count byte) {
	t.Helper()
	for machine := range count {
		v := Sighting(r.ImageID, r.ID, machine+1)
		v.Nonce.Expires = clock.Now().Add(time.Minute)
		sight(t, s, v)
	}
}

// Of five releases two are to stay: the newest that was launched is one of them, what
// was launched lately stays too, and the first always.
func testStaleReleases(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, first := create(t, s, Image("image"), Release("f", "k", "i"))
	launched := func(r store.Release) {
		t.Helper()
		u := GrantedOf(launchOf(t, s, image, r))
		u.Nonce.Expires = clock.Now().Add(time.Minute)
		record(t, s, u)
	}
	var releases []store.Release
	for _, kernel := range []string{"1", "2", "3", "4", "never launched"} {
		clock.Advance(time.Second)
		r := propose(t, s, image.ID, kernel)
		must(t, s.ApproveRelease(t.Context(), r.ID, verdict(r)))
		releases = append(releases, release(t, s, r.ID))
	}
	for _, r := range append([]store.Release{first}, releases[:4]...) {
		launched(r)
	}
	clock.Advance(store.UsePeriod + time.Hour)
	if got := staleIDs(t, s); got != nil {
		t.Errorf("all are kept: got %v", got)
	}
	must(t, s.SetKeepReleases(t.Context(), image.ID, 2))
	image.KeepReleases = 2
	if got := staleIDs(t, s); !slices.Equal(got, []wire.UUID{releases[1].ID, releases[0].ID}) {
		t.Errorf("got %v", got)
	}
	// 199 machines that are powered off now ran it when they were last seen.
	seen(t, s, clock, releases[1], 199)
	clock.Advance(2 * store.UsePeriod)
	if use, err := s.ReleaseUse(t.Context(), releases[1].ID); err != nil || use.Machines != 199 || use.Launches != 0 {
		t.Errorf("got %+v, %v", use, err)
	}
	if got := staleIDs(t, s); !slices.Contains(got, releases[0].ID) || slices.Contains(got, releases[1].ID) {
		t.Errorf("199 machines need it: got %v", got)
	}
	seen(t, s, clock, releases[3], 199) // all have gone on to another
	launched(releases[0])               // a machine was powered on again
	old := store.StaleRelease{Image: image.ID, Release: releases[0].ID}
	if err := s.RetireStale(t.Context(), old, store.Verdict{By: wire.PartyService}); !errors.Is(err, store.ErrChanged) {
		t.Errorf("launched meanwhile: got %v", err)
	}
	must(t, s.RetireStale(t.Context(), store.StaleRelease{Image: image.ID, Release: releases[1].ID}, store.Verdict{By: wire.PartyService}))
	if got := release(t, s, releases[1].ID); got.State != wire.StateRetired || got.DecidedBy != wire.PartyService {
		t.Errorf("got %+v", got.Decision)
	}
	must(t, s.RestoreRelease(t.Context(), releases[1].ID, store.Verdict{By: Approver}))
	if got := staleIDs(t, s); got != nil {
		t.Errorf("restored: got %v", got)
	}
}

// An instance that was launched once, a year ago, needs its release until it is launched
// from another one, or is disabled.
func testReleaseOfInstances(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, first := withInstances(t, s, Named())
	clock.Advance(time.Second)
	old := propose(t, s, image.ID, "old")
	clock.Advance(time.Second)
	now := propose(t, s, image.ID, "new")
	for _, r := range []store.Release{old, now} {
		must(t, s.ApproveRelease(t.Context(), r.ID, verdict(r)))
	}
	must(t, s.SetKeepReleases(t.Context(), image.ID, 1))
	image.KeepReleases = 1
	i := newInstance(t, s, image.ID, "web-1")
	launched := func(r store.Release, id wire.UUID) {
		t.Helper()
		u := InstanceUnlock(launchOf(t, s, image, r), id)
		u.Nonce.Expires = clock.Now().Add(time.Minute)
		unlockOf(t, s, u)
	}
	launched(old, i.ID)
	launched(now, newInstance(t, s, image.ID, "web-2").ID)
	clock.Advance(365 * 24 * time.Hour)
	if use, err := s.ReleaseUse(t.Context(), old.ID); err != nil || use.Instances != 1 || use.Launches != 0 {
		t.Errorf("got %+v, %v", use, err)
	}
	if got := staleIDs(t, s); got != nil {
		t.Errorf("an instance needs it: got %v", got)
	}
	must(t, s.SetInstanceEnabled(t.Context(), i.ID, false))
	if got := staleIDs(t, s); !slices.Equal(got, []wire.UUID{old.ID}) {
		t.Errorf("disabled: got %v", got)
	}
	must(t, s.SetInstanceEnabled(t.Context(), i.ID, true))
	launched(first, i.ID)
	if got := staleIDs(t, s); !slices.Equal(got, []wire.UUID{old.ID}) {
		t.Errorf("it was launched from another: got %v", got)
	}
}
