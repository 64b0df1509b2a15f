package storetest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func testInstanceAuto(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := withInstances(t, s, Auto())
	named, _ := withInstances(t, s, Named())
	ensure := func(i store.Instance) (store.Instance, error) {
		return s.EnsureInstance(t.Context(), i, audit.Record{Reason: "instance.created", RequestID: "req"})
	}
	first := Instance(image.ID, "")
	first.ID = wire.UUID{0xAB, 0xCD, 0x01, 0x23, 15: 1}
	got, err := ensure(first)
	if err != nil || got.Name != "auto-abcd0123" || !got.Auto || !got.Enabled || got.State != wire.StateNew {
		t.Fatalf("got %+v, %v", got, err)
	}
	records, err := s.ListAudit(t.Context(), store.AuditFilter{InstanceID: first.ID}, store.AuditRange{})
	if err != nil || len(records) != 1 || records[0].Kind != audit.KindGuest || records[0].Outcome != audit.OutcomeDone || records[0].ImageID != image.ID || records[0].RequestID != "req" {
		t.Errorf("records %+v, %v", records, err)
	}
	other := first
	other.Image, other.ShareSealed = named.ID, []byte("other")
	for _, i := range []store.Instance{first, other} { // it is there: whatever is asked
		if again, err := ensure(i); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("got %+v, %v", again, err)
		}
	}
	second := Instance(image.ID, "")
	second.ID = wire.UUID{0xAB, 0xCD, 0x01, 0x23, 15: 2}
	if got, err := ensure(second); err != nil || got.Name != "auto-abcd0123000000000000000000000002" {
		t.Errorf("got %+v, %v", got, err)
	}
	newInstance(t, s, image.ID, "made-by-hand") // does not count
	third := Instance(image.ID, "")
	if _, err := ensure(third); !errors.Is(err, store.ErrInstanceLimit) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.DeleteInstance(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if got, err := ensure(first); err != nil || got.DeletedAt.IsZero() {
		t.Errorf("a deleted one: %+v, %v", got, err)
	}
	if _, err := ensure(third); err != nil {
		t.Errorf("one was deleted: %v", err)
	}
	var mode *store.InstanceModeError
	if _, err := ensure(Instance(named.ID, "")); !errors.As(err, &mode) {
		t.Errorf("named: %v", err)
	}
	if _, err := ensure(Instance(wire.NewUUID(), "")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no image: %v", err)
	}
	if records, err := s.ListAudit(t.Context(), store.AuditFilter{Kind: audit.KindGuest}, store.AuditRange{}); err != nil || len(records) != 3 {
		t.Errorf("%d records, %v", len(records), err)
	}
}
