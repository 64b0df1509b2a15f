package storetest

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func testInstanceSettings(t *testing.T, d Database) {
	s := d.Open(t)
	none, release := create(t, s, Image("none"), Release("f", "k", "i"))
	if want := (wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationReport}); none.Instances != want {
		t.Errorf("got %+v", none.Instances)
	}
	set := func(image wire.UUID, settings wire.InstanceSettings) error {
		return s.SetInstanceSettings(t.Context(), image, settings)
	}
	if err := errors.Join(set(none.ID, Auto()), set(none.ID, none.Instances), set(none.ID, Named())); err != nil {
		t.Error(err)
	}
	if got := launchOf(t, s, none, release).Image.Instances; got != Named() {
		t.Errorf("a launch has %+v", got)
	}
	instance := newInstance(t, s, none.ID, "web-1")
	var mode *store.InstanceModeError
	if err := set(none.ID, none.Instances); !errors.As(err, &mode) || !errors.Is(err, store.ErrChanged) {
		t.Errorf("with an instance: %v", err)
	}
	if err := errors.Join(s.DeleteInstance(t.Context(), instance.ID), set(none.ID, Auto())); err != nil {
		t.Error(err)
	}
	if err := set(none.ID, none.Instances); !errors.As(err, &mode) {
		t.Errorf("with a deleted instance: %v", err)
	}
	golden, goldenRelease := create(t, s, Image("golden"), Release("f", "k", "i"))
	named, namedRelease := withInstances(t, s, Named())
	record(t, s, GrantedOf(launchOf(t, s, golden, goldenRelease)))
	record(t, s, GrantedOf(launchOf(t, s, named, namedRelease)))
	for name, err := range map[string]error{"none to named": set(golden.ID, Named()), "named to none": set(named.ID, golden.Instances)} {
		if !errors.As(err, &mode) {
			t.Errorf("%s, after a grant: %v", name, err)
		}
	}
	if err := errors.Join(set(named.ID, Auto()), set(golden.ID, wire.InstanceSettings{Mode: wire.InstancesNone, Generation: wire.GenerationEnforce})); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct{ err, want error }{
		"no limit": {set(none.ID, wire.InstanceSettings{Mode: wire.InstancesAuto, Generation: wire.GenerationReport}), store.ErrInvalid},
		"nobody":   {set(wire.NewUUID(), Named()), store.ErrNotFound},
		"zero":     {set(none.ID, wire.InstanceSettings{}), store.ErrInvalid},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: got %v", name, tc.err)
		}
	}
}
