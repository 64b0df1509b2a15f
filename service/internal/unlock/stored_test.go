package unlock_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// TestStoredLaunch finds a launch by the keys of its image, with all that a
// report is held against.
func TestStoredLaunch(t *testing.T) {
	s := storetest.SQLite(t).Open(t)
	image, release, err := s.CreateImage(t.Context(), storetest.Image("image"), storetest.Release("f", "k", "i"), storetest.Present)
	if err != nil {
		t.Fatal(err)
	}
	stored := unlock.Stored{Store: s}
	want := &unlock.Launch{
		Image: image.ID, ImageEnabled: true, Release: release.ID, ReleaseEnabled: true,
		GuestPolicy: release.GuestPolicy, GuestSVN: release.GuestSVN,
		ImagePolicy: image.Policy, ReleasePolicy: release.Policy, UnsealingKey: image.UnsealingKeySealed,
	}
	for _, v := range release.Variants {
		want.Measurements = append(want.Measurements, v.Measurement)
	}
	for enabled := range 2 {
		want.ImageEnabled, want.ReleaseEnabled = enabled == 0, enabled == 0
		if err := errors.Join(s.SetImageEnabled(t.Context(), image.ID, enabled == 0), s.SetReleaseEnabled(t.Context(), release.ID, enabled == 0)); err != nil {
			t.Fatal(err)
		}
		got, err := stored.Launch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
		if err == nil {
			want.Seen = got.Seen
		}
		if err != nil || got.Seen == (store.Seen{}) || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	other := [48]byte{1}
	for name, find := range map[string]func() (*unlock.Launch, error){
		"ID key": func() (*unlock.Launch, error) {
			return stored.Launch(t.Context(), other, image.AuthorKeyDigest, release.ID)
		},
		"author key": func() (*unlock.Launch, error) {
			return stored.Launch(t.Context(), image.IDKeyDigest, other, release.ID)
		},
		"release": func() (*unlock.Launch, error) {
			return stored.Launch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, wire.NewUUID())
		},
	} {
		if got, err := find(); got != nil || err != nil {
			t.Errorf("another %s: got %+v, %v", name, got, err)
		}
	}
}

// TestStoredWithoutADatabase tells trouble from a launch that is not there.
func TestStoredWithoutADatabase(t *testing.T) {
	s := storetest.SQLite(t).Open(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := (unlock.Stored{Store: s}).Launch(t.Context(), idKey, authorKey, wire.NewUUID()); got != nil || err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestNobodyObserves unlocks where nobody counts.
func TestNobodyObserves(t *testing.T) {
	w := newWorld(t)
	config := w.service.Config
	config.Observe = nil
	w.service = unlock.New(config)
	if grant, err := w.unlock(t, w.guest(t).Request(t, w.service.Challenge().Nonce)); err != nil || grant == nil {
		t.Errorf("got %v, %v", grant, err)
	}
}
