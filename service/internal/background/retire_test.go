package background_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/background"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestRetire keeps one release and the first: those that are older retire with a
// record of each, and what was launched lately stays.
func TestRetire(t *testing.T) {
	clock := storetest.NewClock(0)
	s := storetest.SQLite(t).Open(t, store.Options{Now: clock.Now})
	artifacts, err := artifact.OpenFiles(t.TempDir())
	must(t, err)
	j := &background.Janitor{Store: s, Artifacts: artifacts, Now: clock.Now, Log: slog.New(slog.DiscardHandler)}
	image, first, err := s.CreateImage(t.Context(), storetest.Image("image"), storetest.Release("f", "k", "i"), storetest.Present)
	must(t, err)
	add := func(kernel string) store.Release {
		clock.Advance(time.Second)
		r, err := s.AddRelease(t.Context(), image.ID, storetest.Release("f", kernel, "i"), storetest.Present)
		must(t, err)
		must(t, s.ApproveRelease(t.Context(), r.ID, store.Verdict{By: storetest.Approver, Content: r.ContentHash()}))
		return r
	}
	launch := func(r store.Release) {
		found, err := s.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, r.ID)
		must(t, err)
		u := storetest.GrantedOf(found)
		u.Nonce.Expires = clock.Now().Add(time.Minute)
		_, err = u.Write(t.Context(), s)
		must(t, err)
	}
	old, used, newest := add("old"), add("used"), add("newest")
	must(t, s.SetKeepReleases(t.Context(), image.ID, 1))
	launch(newest)
	clock.Advance(store.UsePeriod + time.Hour)
	launch(used)
	must(t, j.Clean(t.Context()))
	for id, want := range map[wire.UUID]wire.ReleaseState{
		first.ID: wire.StateApproved, old.ID: wire.StateRetired, used.ID: wire.StateApproved, newest.ID: wire.StateApproved,
	} {
		r, err := s.ReleaseByID(t.Context(), id)
		must(t, err)
		if r.State != want {
			t.Errorf("%x is %s, want %s", r.Kernel.SHA256[:4], r.State, want)
		}
	}
	entries, err := s.ListAudit(t.Context(), store.AuditFilter{Reason: "release.retired"}, store.AuditRange{})
	must(t, err)
	if len(entries) != 1 || entries[0].ReleaseID != old.ID || entries[0].Actor != wire.PartyService || entries[0].Details["reason"] != "keep_releases" {
		t.Errorf("recorded %+v", entries)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
