package update_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// TestUpdate tells guests of the newest release whose kernel they have.
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	second, third := w.release(t, "6.12.2"), w.release(t, "6.12.10")
	proposed := w.propose(t, "6.12.11")
	g := w.guest(t, w.running)
	without := installed("6.12.2")
	without.Kernels[0].Modules = false
	failed := installed("6.12.2", "6.12.10")
	failed.Failed = third.ID
	lie := installed("6.12.2")
	lie.Kernels[0].Release = "7.0" // what a kernel is called decides nothing
	for name, tc := range map[string]struct {
		asks      *wire.UpdateRequest
		state     string
		available wire.UUID
		waiting   []string
	}{
		"nothing installed":        {installed(), wire.UpdateNone, wire.UUID{}, nil},
		"the running kernel":       {installed("6.12.1"), wire.UpdateNone, wire.UUID{}, nil},
		"one newer":                {installed("6.12.1", "6.12.2"), wire.UpdateAvailable, second.ID, nil},
		"the newest of both":       {installed("6.12.10", "6.12.1", "6.12.2"), wire.UpdateAvailable, third.ID, nil},
		"no modules":               {without, wire.UpdateNone, wire.UUID{}, nil},
		"one that failed":          {failed, wire.UpdateAvailable, second.ID, nil},
		"another name":             {lie, wire.UpdateAvailable, second.ID, nil},
		"no release":               {installed("6.12.1", "6.13.1"), wire.UpdateWaiting, wire.UUID{}, []string{"6.13.1"}},
		"older without a release":  {installed("6.11.9"), wire.UpdateNone, wire.UUID{}, nil},
		"only proposed":            {installed("6.12.11"), wire.UpdateWaiting, wire.UUID{}, []string{"6.12.11"}},
		"a release, and none":      {installed("6.13.1", "6.12.2"), wire.UpdateAvailable, second.ID, []string{"6.13.1"}},
		"a kernel named as no one": {installed("6.12.2~rc1"), wire.UpdateWaiting, wire.UUID{}, []string{"6.12.2~rc1"}},
	} {
		answer := w.update(t, g, tc.asks)
		var available wire.UUID
		if answer.Available != nil {
			available = answer.Available.Release
		}
		if answer.State != tc.state || available != tc.available || !slices.Equal(answer.Waiting, tc.waiting) {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	w.approve(t, proposed)
	if answer := w.update(t, g, installed("6.12.11")); answer.Available == nil || answer.Available.Release != proposed.ID || answer.Available.Kernel != "6.12.11" {
		t.Errorf("approved: %+v", answer)
	}
	// Who runs the newest is told of none, and of no older one.
	if answer := w.update(t, w.guest(t, third), installed("6.12.2", "6.12.10")); answer.State != wire.UpdateNone {
		t.Errorf("the newest: %+v", answer)
	}
	// A release that is not in force is not offered.
	w.withdraw(t, third.ID)
	if answer := w.update(t, g, installed("6.12.10", "6.12.2")); answer.Available == nil || answer.Available.Release != second.ID {
		t.Errorf("disabled: %+v", answer)
	}
	if n := len(w.records(t, "")); n != 0 {
		t.Errorf("asking left %d records", n)
	}
}

// TestFleetIsKept looks at what asking leaves.
func TestFleetIsKept(t *testing.T) {
	w := newWorld(t)
	asks := installed("6.12.1", "6.13.1")
	asks.Failed = wire.UUID{5}
	w.update(t, w.guest(t, w.running), asks)
	m := w.machines(t)
	if len(m) != 1 || m[0].ID != machine() || m[0].Release != w.running.ID || m[0].Running != "6.12.1" || m[0].Failed != asks.Failed ||
		len(m[0].Kernels) != 2 || m[0].Kernels[0].Newer || !m[0].Kernels[1].Newer {
		t.Errorf("kept %+v", m)
	}
	fleet, err := w.database.Fleet(t.Context(), w.image.ID)
	if err != nil || len(fleet.Waiting) != 1 || fleet.Waiting[0].Kernel != "6.13.1" {
		t.Errorf("fleet %+v, %v", fleet, err)
	}
}

func TestConfirm(t *testing.T) {
	w := newWorld(t)
	second := w.release(t, "6.12.2")
	g := w.guest(t, second)
	for range 2 {
		call := w.call(t, g, wire.CallConfirm, wire.ConfirmRequest{Machine: machine()})
		signed, err := w.service.Confirm(t.Context(), call, caller())
		must(t, err)
		w.checkSigned(t, wire.CallConfirm, call, signed)
		var answer wire.ConfirmAnswer
		must(t, json.Unmarshal(signed.Body, &answer))
		if answer.Release != second.ID {
			t.Errorf("confirmed %s", answer.Release)
		}
	}
	m := w.machines(t)
	if len(m) != 1 || m[0].Confirmed != second.ID || m[0].Release != second.ID || m[0].ConfirmedAt.IsZero() {
		t.Errorf("kept %+v", m)
	}
	records := w.records(t, audit.KindGuest)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	if r.Reason != audit.ReasonConfirmed || r.Outcome != audit.OutcomeDone || r.ReleaseID != second.ID || r.ImageID != w.image.ID || len(r.Report) != 1184 ||
		r.Details["machine"] != machine().String() || r.RequestID != "request" || len(r.ChipID) == 0 {
		t.Errorf("recorded %+v", r.Record)
	}
}
