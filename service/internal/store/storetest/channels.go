package storetest

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func channelTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"channels":          testChannels,
		"channel race":      testChannelRace,
		"named by channels": testNamedByChannels,
		"forged channels":   testForgedChannels,
	}
}

func testChannels(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	other, foreign := create(t, s, Image("other"), Release("f", "k", "i"))
	newest, pinned := store.Target{Image: image.ID}, store.Target{Image: image.ID, Release: release.ID}
	set := func(target store.Target, previous *store.Target) error {
		return s.SetChannel(t.Context(), store.Channel{Name: "debian-13/stable", Target: target, ChangedBy: Approver}, previous)
	}
	if err := set(newest, &pinned); !errors.Is(err, store.ErrChanged) {
		t.Errorf("moved before it exists: got %v", err)
	}
	must(t, set(newest, nil))
	for name, previous := range map[string]*store.Target{"made twice": nil, "another previous": {Image: other.ID}, "another release": &pinned} {
		if err := set(pinned, previous); !errors.Is(err, store.ErrChanged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, target := range map[string]store.Target{
		"unknown image": {Image: wire.NewUUID()}, "unknown release": {Image: image.ID, Release: wire.NewUUID()}, "foreign release": {Image: image.ID, Release: foreign.ID},
	} {
		if err := set(target, &newest); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	must(t, set(pinned, &newest))
	got, err := s.Channel(t.Context(), "debian-13/stable")
	if err != nil || got.Target != pinned || got.ChangedBy != Approver || got.ChangedAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
	must(t, s.SetChannel(t.Context(), store.Channel{Name: "a/b", Target: store.Target{Image: other.ID}, ChangedBy: Approver}, nil))
	all, err := s.Channels(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "a/b" || all[1] != got {
		t.Errorf("got %+v, %v", all, err)
	}
	must(t, s.VerifyRows(t.Context()))
	must(t, s.DeleteChannel(t.Context(), "a/b"))
	must(t, s.VerifyRows(t.Context()))
	if err := s.DeleteChannel(t.Context(), "a/b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: got %v", err)
	}
	if _, err := s.Channel(t.Context(), "a/b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted: got %v", err)
	}
}

// Of many who move a channel from one target, one does.
func testChannelRace(t *testing.T, d Database) {
	stores := []*store.Store{d.Open(t), d.Open(t)}
	image, release := create(t, stores[0], Image("image"), Release("f", "k", "i"))
	newest := store.Target{Image: image.ID}
	for _, previous := range []*store.Target{nil, &newest} {
		target := newest
		if previous != nil {
			target.Release = release.ID
		}
		done := succeeding(t, 8, func(i int) error {
			return stores[i%2].SetChannel(t.Context(), store.Channel{Name: "a/b", Target: target, ChangedBy: Approver}, previous)
		})
		if len(done) != 1 {
			t.Errorf("%d changes of one target", len(done))
		}
	}
}

// What a channel names is not deleted under it.
func testNamedByChannels(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	must(t, s.SetChannel(t.Context(), store.Channel{Name: "a/b", Target: store.Target{Image: image.ID, Release: release.ID}, ChangedBy: Approver}, nil))
	var named *store.ChannelError
	if _, err := s.DeleteRelease(t.Context(), release.ID); !errors.As(err, &named) || named.Name != "a/b" {
		t.Errorf("release: got %v", err)
	}
	if _, err := s.DeleteImage(t.Context(), image.ID); !errors.As(err, &named) {
		t.Errorf("image: got %v", err)
	}
	must(t, s.DeleteChannel(t.Context(), "a/b"))
	if _, err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Error(err)
	}
}

// Whoever writes to the database moves no channel, and brings no deleted one back.
func testForgedChannels(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("image"), Release("f", "k", "i"))
	other, _ := create(t, s, Image("other"), Release("f", "k", "i"))
	must(t, s.SetChannel(t.Context(), store.Channel{Name: "a/b", Target: store.Target{Image: image.ID}, ChangedBy: Approver}, nil))
	d.exec(t, q(`UPDATE channels SET image_id = $1`, other.ID[:])...)
	if _, err := s.Channel(t.Context(), "a/b"); !errors.Is(err, store.ErrTampered) {
		t.Errorf("moved: got %v", err)
	}
	d.exec(t, append(q(`UPDATE channels SET image_id = $1`, image.ID[:]), q(`CREATE TABLE old AS SELECT * FROM channels`)...)...)
	must(t, s.DeleteChannel(t.Context(), "a/b"))
	d.exec(t, q(`INSERT INTO channels SELECT * FROM old`)...)
	if err := s.VerifyRows(t.Context()); !errors.Is(err, store.ErrTampered) {
		t.Errorf("put back: got %v", err)
	}
}
