package update_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/update"
)

// withInstances gives the image instances.
func (w *world) withInstances(t *testing.T) {
	t.Helper()
	must(t, w.database.SetInstanceSettings(t.Context(), w.image.ID, storetest.Named()))
}

// create makes an instance.
func (w *world) create(t *testing.T, name string) store.Instance {
	t.Helper()
	i, err := w.database.CreateInstance(t.Context(), storetest.Instance(w.image.ID, name))
	must(t, err)
	return i
}

// runs launches a guest as an instance, which it has made ready.
func (w *world) runs(t *testing.T, id wire.UUID) *guesttest.Guest {
	t.Helper()
	g := w.guest(t, w.running)
	g.Report.HostData = wire.HostData(id)
	for _, state := range []wire.InstanceState{wire.StateClaimed, wire.StateReady} {
		_, err := w.database.RecordInstanceCall(t.Context(), store.InstanceCall{
			Nonce:    store.Nonce{Hash: storetest.Hash(), Expires: w.now.Add(nonce.Lifetime)},
			Instance: id, Release: w.running.ID,
			Decide: func(f store.InstanceFacts) (store.Instance, audit.Record) {
				i := *f.Instance
				if i.State != wire.StateReady {
					i.State, i.Sealed = state, [32]byte{1}
				}
				if i.State == wire.StateReady {
					i.Generation++
					i.Committed = store.Boot{ReportID: g.Report.ReportID, BootKey: [32]byte(g.BootKey.Public().(ed25519.PublicKey)), Release: w.running.ID, At: w.now}
				}
				return i, audit.Record{Kind: audit.KindGuest, Outcome: audit.OutcomeDone, Reason: "instance.test", InstanceID: id}
			},
		})
		must(t, err)
	}
	return g
}

// TestInstance asks and confirms as an instance: the table knows it by that, whatever the
// guest says of itself.
func TestInstance(t *testing.T) {
	w := newWorld(t)
	w.withInstances(t)
	g := w.runs(t, w.create(t, "web-1").ID)
	id := wire.HostInstance(g.Report.HostData)
	for call, c := range w.calls() {
		request := w.call(t, g, call, c.body)
		answer, err := c.do(t.Context(), request, caller())
		must(t, err)
		data := wire.CallBinding{Nonce: request.Nonce, Image: w.image.ID, Instance: id, Body: sha256.Sum256(request.Body)}.ReportData(call)
		if !ed25519.Verify(w.identity.Public().(ed25519.PublicKey), wire.AnswerTranscript(call, data, answer.Body), answer.Signature) || !json.Valid(answer.Body) {
			t.Errorf("%s: answered %q", call, answer.Body)
		}
	}
	if m := w.machines(t); len(m) != 1 || m[0].ID != id || m[0].Confirmed != w.running.ID {
		t.Errorf("machines %+v", m)
	}
	r := w.records(t, audit.KindGuest)[0]
	if r.Reason != audit.ReasonConfirmed {
		r = w.records(t, audit.KindGuest)[1]
	}
	if r.Reason != audit.ReasonConfirmed || r.InstanceID != id || r.Details["machine"] != id.String() {
		t.Errorf("recorded %+v", r.Record)
	}
}

// TestInstanceAttacks has somebody else than the launch that runs call for an instance:
// with a genuine report of the same image, but without the boot key, or after another boot.
func TestInstanceAttacks(t *testing.T) {
	type change = func(*testing.T, *world, *guesttest.Guest)
	for name, a := range map[string]struct {
		before change
		after  func(*wire.GuestCall)
		want   audit.Reason
	}{
		"unsigned":           {nil, func(c *wire.GuestCall) { c.BootSignature = nil }, audit.ReasonBootKey},
		"signed by another":  {func(_ *testing.T, _ *world, g *guesttest.Guest) { g.BootKey = ed25519.NewKeyFromSeed(make([]byte, 32)) }, nil, audit.ReasonBootKey},
		"signature of zeros": {nil, func(c *wire.GuestCall) { clear(c.BootSignature) }, audit.ReasonBootKey},
		"an earlier launch":  {func(t *testing.T, w *world, g *guesttest.Guest) { w.runs(t, wire.HostInstance(g.Report.HostData)) }, nil, audit.ReasonBootSuperseded},
		"no launch committed": {func(t *testing.T, w *world, g *guesttest.Guest) {
			g.Report.HostData = wire.HostData(w.create(t, "new").ID)
		}, nil, audit.ReasonBootSuperseded},
		"no instance":      {func(_ *testing.T, _ *world, g *guesttest.Guest) { clear(g.Report.HostData[:]) }, nil, audit.ReasonInstanceRequired},
		"unknown instance": {func(_ *testing.T, _ *world, g *guesttest.Guest) { g.Report.HostData = wire.HostData(wire.NewUUID()) }, nil, audit.ReasonInstanceUnknown},
		"disabled": {func(t *testing.T, w *world, g *guesttest.Guest) {
			must(t, w.database.SetInstanceEnabled(t.Context(), wire.HostInstance(g.Report.HostData), false))
		}, nil, audit.ReasonInstanceDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range []wire.Call{wire.CallUpdate, wire.CallConfirm} {
				w := newWorld(t)
				w.withInstances(t)
				g := w.runs(t, w.create(t, "web-1").ID)
				if a.before != nil {
					a.before(t, w, g)
				}
				c := w.calls()[call]
				request := w.call(t, g, call, c.body)
				if a.after != nil {
					a.after(request)
				}
				answer, err := c.do(t.Context(), request, caller())
				w.checkDenied(t, c.name, answer, err, a.want)
			}
		})
	}
}

// broken is a database that does not say what instances there are.
type broken struct{ update.Fleet }

func (broken) InstanceByID(context.Context, wire.UUID) (store.Instance, error) {
	return store.Instance{}, errors.New("no database")
}

// TestNoDatabaseForInstance is no denial, and no answer.
func TestNoDatabaseForInstance(t *testing.T) {
	w := newWorld(t)
	w.withInstances(t)
	request := w.call(t, w.runs(t, w.create(t, "web-1").ID), wire.CallUpdate, installed("6.12.2"))
	w.service.Fleet = broken{w.database}
	if answer, err := w.service.Update(t.Context(), request, caller()); answer != nil || !errors.Is(err, unlock.ErrUnavailable) {
		t.Errorf("got %v, %v", answer, err)
	}
	if m := w.machines(t); len(m) != 0 {
		t.Errorf("left %+v", m)
	}
}
