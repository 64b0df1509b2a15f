package access_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestRefusedRoles asks for each operation with each role: one that is too low is
// refused, and so are nobody and an operation that is not in the table.
func TestRefusedRoles(t *testing.T) {
	s := storetest.SQLite(t).Open(t)
	gate := access.NewGate(s, access.DefaultLimits(), time.Now)
	rank := map[wire.Role]int{"": 0, wire.RoleRead: 1, wire.RoleRegister: 2, wire.RoleApprove: 3, wire.RoleAdmin: 4}
	for op, rule := range access.Operations() {
		for role := range rank {
			actor := access.Actor{Principal: access.Principal{ID: string(op) + string(role), Role: role}, Secret: "secret"}
			if role == "" {
				actor = access.Actor{Principal: access.Principal{Role: wire.RoleAdmin}} // nobody, who claims to be one
			}
			permit, err := gate.Begin(t.Context(), actor, op)
			if allowed := rank[role] >= rank[rule.Role]; allowed != (err == nil) || !allowed && !errors.As(err, new(*access.ForbiddenError)) {
				t.Errorf("%s as %q: %v", op, role, err)
			}
			if err == nil {
				permit.End()
			}
		}
	}
	if _, err := gate.Begin(t.Context(), access.Actor{Principal: access.Principal{Role: wire.RoleAdmin}, Secret: "secret"}, "image.sell"); err == nil {
		t.Error("an unknown operation begins")
	}
}

// TestRefusalsAreBounded asks a thousand times for what a role does not allow: that is
// on record, and does not fill the disk.
func TestRefusalsAreBounded(t *testing.T) {
	clock := storetest.NewClock(0)
	s := storetest.SQLite(t).Open(t, store.Options{Now: clock.Now})
	gate := access.NewGate(s, access.DefaultLimits(), clock.Now)
	actor := access.Actor{
		Principal: access.Principal{ID: "1", Name: "ci", Role: wire.RoleRead}, Secret: "secret", RequestID: "request", Address: "192.0.2.1",
	}
	for range 1000 {
		if err := gate.Permit(t.Context(), actor, access.DeleteImage); !errors.As(err, new(*access.ForbiddenError)) {
			t.Fatal(err)
		}
	}
	entries, err := s.ListAudit(t.Context(), store.AuditFilter{Reason: "role.refused"}, store.AuditRange{})
	if err != nil || len(entries) != 5 {
		t.Fatalf("%d records, %v", len(entries), err)
	}
	want := audit.Record{
		Seq: 5, Time: clock.Now(), Kind: audit.KindAdmin, Outcome: audit.OutcomeDenied, Reason: "role.refused", RequestID: "request",
		Address: "192.0.2.1", Actor: "token 1 (ci)", Rule: "role", Expected: "admin", Found: "read",
	}
	got := entries[0].Record
	if got.Details["operation"] != "image.delete" {
		t.Errorf("details %v", got.Details)
	}
	got.Details = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	clock.Advance(time.Hour)
	_ = gate.Permit(t.Context(), actor, access.DeleteImage)
	if head, err := s.AuditHead(t.Context()); err != nil || head.Seq != 6 {
		t.Errorf("an hour later: %s, %v", head, err)
	}
}

// TestPlaces takes the places of one actor and of all.
func TestPlaces(t *testing.T) {
	gate := access.NewGate(nil, access.Limits{access.Exports: {All: 3, Each: 2}}, time.Now)
	begin := func(id string) (*access.Permit, error) {
		return gate.Begin(t.Context(), access.Actor{Principal: access.Principal{ID: id, Role: wire.RoleAdmin}, Secret: "secret"}, access.ExportKDS)
	}
	for i, tc := range []struct {
		id   string
		each int
		want bool
	}{{"a", 0, true}, {"a", 0, true}, {"a", 2, false}, {"b", 0, true}, {"b", 0, false}} {
		permit, err := begin(tc.id)
		var busy *access.BusyError
		if (err == nil) != tc.want || !tc.want && (!errors.As(err, &busy) || busy.Each != tc.each) {
			t.Errorf("%d: %v", i, err)
		}
		if err == nil && i == 1 {
			defer func() {
				permit.End()
				permit.End()
				if got := gate.Taken(access.Exports); got != 2 {
					t.Errorf("%d places are taken", got)
				}
			}()
		}
	}
}
