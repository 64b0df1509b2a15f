package image

import (
	"errors"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestChoose(t *testing.T) {
	older := wire.Image{ID: wire.NewUUID(), CreatedAt: time.Unix(1, 0)}
	newer := wire.Image{ID: wire.NewUUID(), CreatedAt: time.Unix(2, 0)}
	one, newest := Config{}, Config{MostRecent: true}
	if got, err := one.choose([]wire.Image{older}); err != nil || got.ID != older.ID {
		t.Errorf("one: %v, %v", got, err)
	}
	for _, list := range [][]wire.Image{{older, newer}, {newer, older}} {
		if got, err := newest.choose(list); err != nil || got.ID != newer.ID {
			t.Errorf("most recent: %v, %v", got, err)
		}
		var wrong *option.Error
		if _, err := one.choose(list); !errors.As(err, &wrong) || wrong.Option != "most_recent" {
			t.Errorf("several: %v", err)
		}
	}
	if _, err := newest.choose(nil); err == nil {
		t.Error("none is one")
	}
}

// TestReleaseInForce takes the release that a channel names, and else the newest that
// is approved.
func TestReleaseInForce(t *testing.T) {
	image := wire.Image{ID: wire.NewUUID(), Releases: []wire.Release{
		{ID: wire.NewUUID(), State: wire.StateProposed}, {ID: wire.NewUUID(), State: wire.StateApproved},
		{ID: wire.NewUUID(), State: wire.StateApproved}, {ID: wire.NewUUID(), State: wire.StateRetired},
	}}
	for _, tc := range []struct {
		channel *wire.Channel
		want    string
	}{
		{nil, image.Releases[1].ID.String()},
		{&wire.Channel{}, image.Releases[1].ID.String()},
		{&wire.Channel{ReleaseID: &image.Releases[2].ID}, image.Releases[2].ID.String()},
		{&wire.Channel{ReleaseID: &image.Releases[3].ID}, ""},
	} {
		if got := output(&client.Found{Image: &image, Channel: tc.channel}); got.ReleaseID != tc.want || got.Releases[3].State != "retired" {
			t.Errorf("got %q, want %q", got.ReleaseID, tc.want)
		}
	}
}

func TestChannelAlone(t *testing.T) {
	for name, config := range map[string]map[string]any{
		"id":     {"name": "debian-13/stable", "id": wire.NewUUID().String()},
		"labels": {"name": "debian-13/stable", "labels": map[string]string{"a": "b"}},
	} {
		if err := new(Datasource).Configure(config); err == nil {
			t.Errorf("a channel and %s", name)
		}
	}
	if err := new(Datasource).Configure(map[string]any{"name": "debian-13/stable"}); err != nil {
		t.Error(err)
	}
}

func TestConfigure(t *testing.T) {
	for id, ok := range map[string]bool{"": false, "web": false, option.Placeholder: true, wire.NewUUID().String(): true} {
		if err := new(Datasource).Configure(map[string]any{"id": id}); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}
