package image

import (
	"errors"
	"testing"
	"time"

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

func TestConfigure(t *testing.T) {
	for id, ok := range map[string]bool{"": false, "web": false, option.Placeholder: true, wire.NewUUID().String(): true} {
		if err := new(Datasource).Configure(map[string]any{"id": id}); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}
