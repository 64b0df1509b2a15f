package update_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
)

// calls are both calls of a guest, with a body of each.
func (w *world) calls() map[wire.Call]struct {
	name string
	body any
	do   func(context.Context, *wire.GuestCall, unlock.Caller) (*wire.GuestAnswer, error)
} {
	type entry = struct {
		name string
		body any
		do   func(context.Context, *wire.GuestCall, unlock.Caller) (*wire.GuestAnswer, error)
	}
	return map[wire.Call]entry{
		wire.CallUpdate:  {"update", installed("6.12.2"), w.service.Update},
		wire.CallConfirm: {"confirm", wire.ConfirmRequest{Machine: machine()}, w.service.Confirm},
	}
}

// TestAttacks makes calls with one thing wrong. Each is denied for its own recorded
// reason, gets no answer, and leaves nothing in the table of machines.
func TestAttacks(t *testing.T) {
	type attack struct {
		name   string
		before func(*testing.T, *world, *guesttest.Guest) // the report
		after  func(*testing.T, *world, *wire.GuestCall)  // the call
		want   audit.Reason
	}
	none := func(*testing.T, *world, *wire.GuestCall) {}
	guest := func(change func(*guesttest.Guest)) func(*testing.T, *world, *guesttest.Guest) {
		return func(_ *testing.T, _ *world, g *guesttest.Guest) { change(g) }
	}
	as := func(change func(*wire.GuestCall)) func(*testing.T, *world, *wire.GuestCall) {
		return func(_ *testing.T, _ *world, c *wire.GuestCall) { change(c) }
	}
	for _, a := range []attack{
		{"foreign nonce", nil, as(func(c *wire.GuestCall) {
			c.Nonce = nonce.NewIssuer([]byte("other key"), time.Now).New()
		}), audit.ReasonNonceForged},
		{"other nonce", nil, func(_ *testing.T, w *world, c *wire.GuestCall) { c.Nonce = w.unlocker.Challenge().Nonce }, audit.ReasonBinding},
		{"expired nonce", nil, func(_ *testing.T, w *world, _ *wire.GuestCall) { w.now = w.now.Add(2 * nonce.Lifetime) }, audit.ReasonNonceExpired},
		{"changed body", nil, as(func(c *wire.GuestCall) { c.Body = bytes.Replace(c.Body, []byte(`"0`), []byte(`"1`), 1) }), audit.ReasonBinding},
		{"changed signature", nil, as(func(c *wire.GuestCall) { c.Report[0x2A0] ^= 1 }), audit.Reason(attest.ReasonSignature)},
		{"VMPL 1", guest(func(g *guesttest.Guest) { g.Report.VMPL = 1 }), none, audit.ReasonVMPL},
		{"no ID block", guest(func(g *guesttest.Guest) { g.Report.AuthorKeyEn = false }), none, audit.ReasonLaunchUnknown},
		{"another image's report", guest(func(g *guesttest.Guest) { g.Report.FamilyID[0]++; g.Image[0]++ }), none, audit.ReasonFamilyID},
		{"bound to another image", guest(func(g *guesttest.Guest) { g.Image[0]++ }), none, audit.ReasonBinding},
		{"a release that it does not run", func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.ImageID = wire.NewUUID() }, none, audit.ReasonLaunchUnknown},
		{"wrong measurement", guest(func(g *guesttest.Guest) { g.Report.Measurement[0]++ }), none, audit.ReasonMeasurement},
		{"debug added", guest(func(g *guesttest.Guest) { g.Report.Policy |= 1 << 19 }), none, audit.ReasonGuestPolicy},
		{"proposed release", func(t *testing.T, w *world, g *guesttest.Guest) {
			g.Report.ImageID = w.propose(t, "6.12.2").ID
		}, none, audit.ReasonReleaseProposed},
		{"release out of force", func(t *testing.T, w *world, _ *guesttest.Guest) {
			w.withdraw(t, w.running.ID)
		}, none, outOfForce},
		{"disabled image", func(t *testing.T, w *world, _ *guesttest.Guest) {
			must(t, w.database.SetImageEnabled(t.Context(), w.image.ID, false))
		}, none, audit.ReasonImageDisabled},
		{"image's policy", func(t *testing.T, w *world, _ *guesttest.Guest) {
			_, err := w.database.UpdateImagePolicy(t.Context(), w.image.ID, []byte(`{"version":1,"platform":{"smt":false}}`), 1)
			must(t, err)
		}, none, "platform.smt"},
	} {
		t.Run(a.name, func(t *testing.T) {
			for _, call := range []wire.Call{wire.CallUpdate, wire.CallConfirm} {
				w := newWorld(t)
				c, g := w.calls()[call], w.guest(t, w.running)
				if a.before != nil {
					a.before(t, w, g)
				}
				request := w.call(t, g, call, c.body)
				a.after(t, w, request)
				answer, err := c.do(t.Context(), request, caller())
				w.checkDenied(t, c.name, answer, err, a.want)
			}
		})
	}
}

func (w *world) checkDenied(t *testing.T, call string, answer *wire.GuestAnswer, err error, want audit.Reason) {
	t.Helper()
	var denial *unlock.Denial
	if answer != nil || !errors.As(err, &denial) || denial.Reason != want {
		t.Fatalf("%s: got %v, %v, want denial for %s", call, answer, err, want)
	}
	records := w.records(t, audit.KindUnlock)
	if len(records) == 0 || records[0].Reason != want || records[0].Outcome != audit.OutcomeDenied || records[0].Details["call"] != call ||
		records[0].Rule == "" || records[0].Expected == "" || records[0].Found == "" {
		t.Errorf("%s: recorded %+v", call, records)
	}
	if m := w.machines(t); len(m) != 0 {
		t.Errorf("%s: left %+v", call, m)
	}
}

// TestReplay makes a call twice, and with the nonce of another call.
func TestReplay(t *testing.T) {
	for _, order := range [][2]wire.Call{
		{wire.CallUpdate, wire.CallUpdate}, {wire.CallConfirm, wire.CallConfirm}, {wire.CallUpdate, wire.CallConfirm}, {wire.CallConfirm, wire.CallUpdate},
	} {
		w := newWorld(t)
		g := w.guest(t, w.running)
		first := w.call(t, g, order[0], w.calls()[order[0]].body)
		_, err := w.calls()[order[0]].do(t.Context(), first, caller())
		must(t, err)
		second := first
		if order[0] != order[1] {
			second, err = g.NewCall(order[1], first.Nonce, encode(t, w.calls()[order[1]].body))
			must(t, err)
		}
		before := w.machines(t)[0]
		w.now = w.now.Add(time.Second)
		_, err = w.calls()[order[1]].do(t.Context(), second, caller())
		var denial *unlock.Denial
		if !errors.As(err, &denial) || denial.Reason != audit.ReasonNonceUsed {
			t.Errorf("%s: %v", order, err)
		}
		if after := w.machines(t)[0]; !after.SeenAt.Equal(before.SeenAt) || after.Confirmed != before.Confirmed {
			t.Errorf("%s: a replay changed %+v to %+v", order, before, after)
		}
	}
}

// TestAnotherCallsReport shows each call the report of another message with the same
// nonce: an unlock, a report for an application, the other call.
func TestAnotherCallsReport(t *testing.T) {
	w := newWorld(t)
	for call, c := range w.calls() {
		g := w.guest(t, w.running)
		good := w.call(t, g, call, c.body)
		request, err := g.NewRequest(good.Nonce)
		must(t, err)
		other := wire.CallConfirm
		if call == other {
			other = wire.CallUpdate
		}
		crossed, err := g.NewCall(other, good.Nonce, good.Body)
		must(t, err)
		application := *g.Report
		application.ReportData = wire.ReportData(good.Nonce)
		oracle, err := g.Host.VEK.Report(&application)
		must(t, err)
		for _, report := range [][]byte{request.Report, crossed.Report, oracle} {
			bad := *good
			bad.Report = report
			answer, err := c.do(t.Context(), &bad, caller())
			w.checkDenied(t, c.name, answer, err, audit.ReasonBinding)
		}
		// And an unlock takes no report of a call.
		request.Report = good.Report
		if _, err := w.unlocker.Unlock(t.Context(), request, caller()); !isDenied(err, audit.ReasonBinding) {
			t.Errorf("an unlock with the report of %s: %v", c.name, err)
		}
	}
}

func isDenied(err error, reason audit.Reason) bool {
	var denial *unlock.Denial
	return errors.As(err, &denial) && denial.Reason == reason
}

// TestReportIsNoOracle has a program of the guest ask for reports with nonces of its
// choice, which "snpguard-agent report" hashes under its own tag: none passes for a call.
func TestReportIsNoOracle(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t, w.running)
	for call, c := range w.calls() {
		good := w.call(t, g, call, c.body)
		data := good.Report[0x50:0x90]
		for _, chosen := range [][]byte{data, good.Nonce, data[:16]} {
			report := *g.Report
			report.ReportData = wire.ReportData(chosen)
			signed, err := g.Host.VEK.Report(&report)
			must(t, err)
			bad := *good
			bad.Report = signed
			answer, err := c.do(t.Context(), &bad, caller())
			w.checkDenied(t, c.name, answer, err, audit.ReasonBinding)
		}
	}
}

// TestHostileBodies sends bodies that are bound as they should be.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t, w.running)
	many := installed()
	many.Kernels = make([]wire.InstalledKernel, wire.MaxKernels+1)
	markup := installed("6.12.2")
	markup.Kernels[0].Release = "<img src=x>"
	for name, body := range map[string][]byte{
		"oversize list": encode(t, many), "markup": encode(t, markup), "empty": []byte("{}"), "no JSON": []byte("x"), "two": []byte(`{"machine":null}{}`),
		"field twice":       []byte(`{"machine":"01000000-0000-0000-0000-000000000000","machine":"01000000-0000-0000-0000-000000000000"}`),
		"release in a body": []byte(`{"machine":"01000000-0000-0000-0000-000000000000","release":"01000000-0000-0000-0000-000000000000"}`),
		"deep":              []byte(strings.Repeat("[", 8000)),
	} {
		for call, c := range w.calls() {
			signed, err := g.NewCall(call, w.unlocker.Challenge().Nonce, body)
			must(t, err)
			if answer, err := c.do(t.Context(), signed, caller()); answer != nil || !errors.Is(err, wire.ErrShape) {
				t.Errorf("%s, %s: %v, %v", c.name, name, answer, err)
			}
		}
	}
	if n := len(w.records(t, "")) + len(w.machines(t)); n != 0 {
		t.Errorf("%d things are left", n)
	}
}

// TestDeniedGuestsDoNotFillTheLog asks many times with a release that is out of force.
func TestDeniedGuestsDoNotFillTheLog(t *testing.T) {
	w := newWorld(t)
	w.withdraw(t, w.running.ID)
	for range 100 {
		g := w.guest(t, w.running)
		if _, err := w.service.Update(t.Context(), w.call(t, g, wire.CallUpdate, installed()), caller()); !isDenied(err, outOfForce) {
			t.Fatal(err)
		}
	}
	if n := len(w.records(t, "")); n == 0 || n > 20 {
		t.Errorf("%d records", n)
	}
}

// TestTickets fetches bundles with tickets that are not for this.
func TestTickets(t *testing.T) {
	w := newWorld(t)
	second := w.release(t, "6.12.2")
	ticket := w.update(t, w.guest(t, w.running), installed("6.12.2")).Available.Ticket
	other := update.New(update.Config{Prover: w.unlocker, Fleet: w.database, Identity: w.identity, Key: []byte("other key"), Now: w.clock})
	denied := func(name string, s *update.Service, ticket []byte) {
		t.Helper()
		if bundle, err := s.Bundle(t.Context(), ticket); bundle != nil || !isDenied(err, "ticket") {
			t.Errorf("%s: %v, %v", name, bundle, err)
		}
	}
	denied("another service", other, ticket)
	for i := range ticket {
		changed := bytes.Clone(ticket)
		changed[i] ^= 1
		denied("changed", w.service, changed)
	}
	denied("short", w.service, ticket[1:])
	denied("a nonce", w.service, append(w.unlocker.Challenge().Nonce, make([]byte, 8)...))
	w.withdraw(t, second.ID)
	denied("release out of force", w.service, ticket)
	w.putBack(t, second.ID)
	must(t, w.database.SetImageEnabled(t.Context(), w.image.ID, false))
	denied("disabled image", w.service, ticket)
	must(t, w.database.SetImageEnabled(t.Context(), w.image.ID, true))
	w.now = w.now.Add(11 * time.Minute)
	denied("expired", w.service, ticket)
	w.now = w.now.Add(-11 * time.Minute)
	_, err := w.database.DeleteRelease(t.Context(), second.ID)
	must(t, err)
	denied("deleted release", w.service, ticket)
}
