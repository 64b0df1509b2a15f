package instance_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// calls are those of a boot, with the names that records have.
func calls() map[wire.Call]string {
	return map[wire.Call]string{wire.CallClaim: "claim", wire.CallReady: "ready", wire.CallCommit: "commit"}
}

// before takes an instance to where a call is due, and returns the boot and the body.
func (w *world) before(t *testing.T, call wire.Call) (*vm, any) {
	t.Helper()
	switch call {
	case wire.CallClaim:
		v := w.granted(t, &disk{})
		return v, v.claimBody(t)
	case wire.CallReady:
		v := w.granted(t, &disk{})
		must(t, v.claim(t))
		return v, v.readyBody(1)
	}
	v := w.granted(t, w.made(t))
	return v, wire.CommitRequest{Generation: v.Generation + 1}
}

// TestAttacks makes calls with one thing wrong. Each is denied for its own recorded
// reason, gets no answer, and leaves the instance as it was.
func TestAttacks(t *testing.T) {
	type attack struct {
		name   string
		before func(*testing.T, *world, *vm)            // the call is made
		after  func(*testing.T, *world, *wire.BootCall) // it was
		want   audit.Reason
	}
	vmDoes := func(change func(*vm)) func(*testing.T, *world, *vm) {
		return func(_ *testing.T, _ *world, v *vm) { change(v) }
	}
	as := func(change func(*wire.BootCall)) func(*testing.T, *world, *wire.BootCall) {
		return func(_ *testing.T, _ *world, c *wire.BootCall) { change(c) }
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	for _, a := range []attack{
		{"foreign nonce", nil, as(func(c *wire.BootCall) { c.Nonce = nonce.NewIssuer([]byte("other key"), time.Now).New() }), audit.ReasonNonceForged},
		{"other nonce", nil, func(_ *testing.T, w *world, c *wire.BootCall) { c.Nonce = w.unlocker.Challenge().Nonce }, audit.ReasonBinding},
		{"expired nonce", nil, func(_ *testing.T, w *world, _ *wire.BootCall) { w.pass(2 * nonce.Lifetime) }, audit.ReasonNonceExpired},
		{"changed body", nil, as(func(c *wire.BootCall) { c.Body = append(c.Body, ' ') }), audit.ReasonBinding},
		{"changed report", nil, as(func(c *wire.BootCall) { c.Report[0x2A0] ^= 1 }), audit.Reason(attest.ReasonSignature)},
		{"VMPL 1", vmDoes(func(v *vm) { v.Report.VMPL = 1 }), nil, audit.ReasonVMPL},
		{"wrong measurement", vmDoes(func(v *vm) { v.Report.Measurement[0]++ }), nil, audit.ReasonMeasurement},
		{"image's policy", func(t *testing.T, w *world, _ *vm) {
			_, err := w.database.UpdateImagePolicy(t.Context(), w.image.ID, []byte(`{"version":1,"platform":{"smt":false}}`), 1)
			must(t, err)
		}, nil, "platform.smt"},
		{"retired release", func(t *testing.T, w *world, _ *vm) {
			must(t, w.database.RetireRelease(t.Context(), w.release.ID, store.Verdict{By: "approver"}))
		}, nil, audit.ReasonReleaseRetired},
		{"disabled image", func(t *testing.T, w *world, _ *vm) {
			must(t, w.database.SetImageEnabled(t.Context(), w.image.ID, false))
		}, nil, audit.ReasonImageDisabled},
		{"disabled instance", func(t *testing.T, w *world, _ *vm) {
			must(t, w.database.SetInstanceEnabled(t.Context(), w.instance.ID, false))
		}, nil, audit.ReasonInstanceDisabled},
		{"deleted instance", func(t *testing.T, w *world, _ *vm) {
			must(t, w.database.DeleteInstance(t.Context(), w.instance.ID))
		}, nil, audit.ReasonInstanceDisabled},
		{"instance that was reset", func(t *testing.T, w *world, _ *vm) {
			must(t, w.database.ResetInstance(t.Context(), w.instance.ID, w.instance.ShareSealed))
		}, nil, audit.ReasonBootSuperseded},
		{"another launch since", func(t *testing.T, w *world, v *vm) { w.granted(t, v.disk.asShown(t, w)) }, nil, audit.ReasonBootSuperseded},
		{"launch without a grant", vmDoes(func(v *vm) { v.Report.ReportID[31]++ }), nil, audit.ReasonBootSuperseded},
		{"no REPORT_ID", vmDoes(func(v *vm) { v.Report.ReportID = [32]byte{} }), nil, audit.ReasonBootSuperseded},
		{"never granted, no REPORT_ID", func(t *testing.T, w *world, v *vm) {
			v.Report.HostData, v.Report.ReportID = wire.HostData(w.create(t, "other").ID), [32]byte{}
		}, nil, audit.ReasonBootSuperseded},
		{"no boot signature", nil, as(func(c *wire.BootCall) { clear(c.BootSignature) }), audit.ReasonBootKey},
		{"another boot's key", vmDoes(func(v *vm) { v.BootKey = other }), nil, audit.ReasonBootKey},
		{"no instance", vmDoes(func(v *vm) { v.Report.HostData = [wire.HostDataSize]byte{} }), nil, audit.ReasonInstanceRequired},
		{"unknown instance", vmDoes(func(v *vm) { v.Report.HostData = wire.HostData(wire.NewUUID()) }), nil, audit.ReasonInstanceUnknown},
		{"another instance", func(t *testing.T, w *world, v *vm) {
			v.Report.HostData = wire.HostData(w.create(t, "other").ID)
		}, nil, audit.ReasonBootSuperseded},
	} {
		t.Run(a.name, func(t *testing.T) {
			for call, name := range calls() {
				w := newWorld(t)
				v, body := w.before(t, call)
				if a.before != nil {
					a.before(t, w, v)
				}
				if asks, ok := body.(*wire.ClaimRequest); ok { // sealed for the instance that is named
					asks.Sealed = w.golden.NewSecret(t, wire.HostInstance(v.Report.HostData)).Sealed
				}
				c := v.newCall(t, call, body)
				if a.after != nil {
					a.after(t, w, c)
				}
				was := w.row(t)
				answer, err := w.send(t.Context(), call, c)
				if answer != nil {
					t.Fatalf("%s: answered", name)
				}
				w.checkDenied(t, name, err, a.want)
				w.checkSame(t, was)
			}
		})
	}
}

// asShown is the disk as another launch of the instance shows it to be granted.
func (d *disk) asShown(t *testing.T, w *world) *disk {
	t.Helper()
	if w.row(t).State == wire.StateNew {
		return &disk{}
	}
	return d.copied()
}

// checkSame wants the instance as it was.
func (w *world) checkSame(t *testing.T, was store.Instance) {
	t.Helper()
	now := w.row(t)
	if now.State != was.State || now.Sealed != was.Sealed || now.Generation != was.Generation || now.Granted != was.Granted || now.Committed != was.Committed ||
		!bytes.Equal(now.Recovery, was.Recovery) {
		t.Errorf("the instance was %+v and is %+v", was, now)
	}
}

// TestReplays sends each call twice, as it was.
func TestReplays(t *testing.T) {
	for call, name := range calls() {
		w := newWorld(t)
		v, body := w.before(t, call)
		c := v.newCall(t, call, body)
		_, err := w.send(t.Context(), call, c)
		must(t, err)
		was := w.row(t)
		_, err = w.send(t.Context(), call, c)
		w.checkDenied(t, name, err, audit.ReasonNonceUsed)
		w.checkSame(t, was)
	}
}

// TestAnotherCallsReport shows each call the report of another message of the same boot:
// an unlock, each other call, and what "snpguard-agent report --nonce" gives a program of
// the guest that chooses the nonce. With the call's own body none passes.
func TestAnotherCallsReport(t *testing.T) {
	for call, name := range calls() {
		w := newWorld(t)
		v, body := w.before(t, call)
		good := v.newCall(t, call, body)
		reports := map[string][]byte{}
		request, err := v.NewRequest(good.Nonce)
		must(t, err)
		reports["unlock"] = request.Report
		for _, other := range []wire.Call{wire.CallClaim, wire.CallReady, wire.CallCommit, wire.CallUpdate, wire.CallConfirm} {
			if other == call {
				continue
			}
			crossed, err := v.NewBootCall(other, good.Nonce, good.Body)
			must(t, err)
			reports[string(other)] = crossed.Report
			mixed := *good
			mixed.BootSignature = crossed.BootSignature
			_, err = w.send(t.Context(), call, &mixed)
			w.checkDenied(t, name, err, audit.ReasonBootKey)
			good = v.newCall(t, call, body) // its nonce was used up
		}
		data := good.Report[0x50:0x90]
		for n, chosen := range map[string][]byte{"report data": data, "nonce": good.Nonce, "nothing": nil} {
			application := *v.Report
			application.ReportData = wire.ReportData(chosen)
			reports["oracle, "+n], err = v.Host.VEK.Report(&application)
			must(t, err)
		}
		was := w.row(t)
		for n, report := range reports {
			bad := *good
			bad.Report = report
			if _, err := w.send(t.Context(), call, &bad); !denied(err, audit.ReasonBinding) {
				t.Errorf("%s with the report of %s: %v", name, n, err)
			}
		}
		w.checkSame(t, was)
		// And an unlock takes no report of a call.
		request.Report = good.Report
		if _, err := w.unlocker.Unlock(t.Context(), request, caller()); !denied(err, audit.ReasonBinding) {
			t.Errorf("an unlock with the report of %s: %v", name, err)
		}
	}
}

// TestCallsOfOtherStates makes each call where another is due.
func TestCallsOfOtherStates(t *testing.T) {
	for due := range calls() {
		for call, name := range calls() {
			if call == due {
				continue
			}
			w := newWorld(t)
			v, _ := w.before(t, due)
			was := w.row(t)
			var body any = v.claimBody(t)
			switch call {
			case wire.CallReady:
				body = v.readyBody(7)
			case wire.CallCommit:
				body = wire.CommitRequest{Generation: v.Generation + 1}
			}
			_, err := w.send(t.Context(), call, v.newCall(t, call, body))
			if due == wire.CallReady && call == wire.CallClaim { // the same claim again
				must(t, err)
				continue
			}
			w.checkDenied(t, name, err, audit.ReasonInstanceState)
			w.checkSame(t, was)
		}
	}
}

// TestOtherRecords makes calls with other records and generations than are due.
func TestOtherRecords(t *testing.T) {
	w := newWorld(t)
	v := w.granted(t, &disk{})
	claims := func(sealed []byte, want audit.Reason) {
		t.Helper()
		body := v.claimBody(t)
		body.Sealed = sealed
		_, err := w.send(t.Context(), wire.CallClaim, v.newCall(t, wire.CallClaim, body))
		w.checkDenied(t, "claim", err, want)
	}
	claims(make([]byte, wire.SealedGuestSecretSize), audit.ReasonInstanceKey)
	claims(w.golden.NewSecret(t, wire.NewUUID()).Sealed, audit.ReasonInstanceKey)
	body := v.claimBody(t)
	body.PublicKey = bytes.Repeat([]byte{0xFF}, wire.PublicKeySize)
	_, err := w.send(t.Context(), wire.CallClaim, v.newCall(t, wire.CallClaim, body))
	w.checkDenied(t, "claim", err, audit.ReasonPublicKey)
	if i := w.row(t); i.State != wire.StateNew {
		t.Fatalf("it is %s", i.State)
	}
	must(t, v.claim(t))
	claims(w.golden.NewSecret(t, w.instance.ID).Sealed, audit.ReasonInstanceClaimed)

	other := v.readyBody(1)
	other.Sealed = make([]byte, 32)
	_, err = w.send(t.Context(), wire.CallReady, v.newCall(t, wire.CallReady, other))
	w.checkDenied(t, "ready", err, audit.ReasonInstanceKey)
	must(t, v.ready(t, 1))
	claims(w.golden.NewSecret(t, w.instance.ID).Sealed, audit.ReasonInstanceClaimed)

	v = w.granted(t, v.disk)
	for _, generation := range []uint64{1, 3, wire.MaxGeneration - 1} {
		_, err = w.send(t.Context(), wire.CallCommit, v.newCall(t, wire.CallCommit, wire.CommitRequest{Generation: generation}))
		w.checkDenied(t, "commit", err, audit.ReasonGeneration)
	}
	must(t, v.commit(t))
}

// TestOldClaimDoesNotComeBack resets an instance, and claims it by what it was claimed
// by before: the host has a copy of that record.
func TestOldClaimDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	d := w.made(t)
	share, err := w.kek.NewShare(w.instance.ID)
	must(t, err)
	must(t, w.database.ResetInstance(t.Context(), w.instance.ID, share))
	v := w.granted(t, &disk{secret: d.secret})
	err = v.claim(t)
	w.checkDenied(t, "claim", err, audit.ReasonInstanceKey)
	v.disk.secret = nil
	must(t, v.claim(t))
}

// TestTwoAtOnceUnderNewInstance starts two VMs from copies of the golden disk: both are
// given the golden key, and only the later one is claimed.
func TestTwoAtOnceUnderNewInstance(t *testing.T) {
	w := newWorld(t)
	first, second := w.granted(t, &disk{}), w.granted(t, &disk{})
	err := first.claim(t)
	w.checkDenied(t, "claim", err, audit.ReasonBootSuperseded)
	must(t, first.unlock(t)) // a retry does not bring it back
	err = first.claim(t)
	w.checkDenied(t, "claim", err, audit.ReasonBootSuperseded)
	must(t, second.claim(t))
	// And one from the golden disk, later.
	if err := w.launch(t, &disk{}).unlock(t); !denied(err, audit.ReasonInstanceKey) {
		t.Errorf("a copy of the golden disk: %v", err)
	}
	must(t, second.ready(t, 1))
	if err := w.launch(t, &disk{}).unlock(t); !denied(err, audit.ReasonInstanceKey) {
		t.Errorf("a copy of the golden disk: %v", err)
	}
}

// TestTwoCopiesOfReadyInstance starts both: the later one commits.
func TestTwoCopiesOfReadyInstance(t *testing.T) {
	w := newWorld(t)
	d := w.made(t)
	first, second := w.granted(t, d.copied()), w.granted(t, d.copied())
	must(t, second.commit(t))
	err := first.commit(t)
	w.checkDenied(t, "commit", err, audit.ReasonBootSuperseded)
	if i := w.row(t); i.Committed.ReportID != second.Report.ReportID || i.Generation != 2 {
		t.Errorf("kept %+v", i)
	}
}

// TestHostKeyIsRefused is the attack that instances are for: the host seals a secret of
// its own to the image's public key, makes a disk under the key that follows from it and
// a share that it knows, with its own root, and has the guest boot that.
func TestHostKeyIsRefused(t *testing.T) {
	w := newWorld(t)
	own := &disk{secret: w.golden.NewSecret(t, w.instance.ID)}
	if v := w.granted(t, own); v.State != wire.StateNew || !bytes.Equal(v.keys, w.golden.VMK) {
		t.Fatalf("new: granted %s", v.State)
	}
	v := w.granted(t, &disk{})
	must(t, v.claim(t))
	if err := w.launch(t, own).unlock(t); !denied(err, audit.ReasonInstanceKey) {
		t.Errorf("claimed: %v", err)
	}
	v = w.granted(t, v.disk)
	must(t, v.ready(t, 1))
	if err := w.launch(t, own).unlock(t); !denied(err, audit.ReasonInstanceKey) {
		t.Errorf("ready: %v", err)
	}
	must(t, w.granted(t, v.disk).commit(t))
}

// TestWithdrawnMeanwhile has operators change what a call rests on while AMD's KDS is
// asked: nobody looks again, but the database does when it records.
func TestWithdrawnMeanwhile(t *testing.T) {
	for reason, change := range map[audit.Reason]func(*testing.T, *world) error{
		audit.ReasonImageDisabled: func(t *testing.T, w *world) error {
			return w.database.SetImageEnabled(t.Context(), w.image.ID, false)
		},
		audit.ReasonReleaseRetired: func(t *testing.T, w *world) error {
			return w.database.RetireRelease(t.Context(), w.release.ID, store.Verdict{By: "approver"})
		},
		audit.ReasonPolicyChanged: func(t *testing.T, w *world) error {
			_, err := w.database.UpdateReleasePolicy(t.Context(), w.release.ID, []byte(`{"version":1,"platform":{"smt":false}}`), 1)
			return err
		},
		audit.ReasonInstanceDisabled: func(t *testing.T, w *world) error {
			return w.database.SetInstanceEnabled(t.Context(), w.instance.ID, false)
		},
		audit.ReasonBootSuperseded: func(t *testing.T, w *world) error {
			return w.database.ResetInstance(t.Context(), w.instance.ID, w.instance.ShareSealed)
		},
	} {
		for call, name := range calls() {
			w := newWorld(t)
			v, body := w.before(t, call)
			c := v.newCall(t, call, body)
			w.meanwhile = func() {
				w.meanwhile = nil
				must(t, change(t, w))
			}
			_, err := w.send(t.Context(), call, c)
			w.checkDenied(t, name, err, reason)
		}
	}
}

// TestHostileBodies sends bodies that are bound as they should be.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	v := w.granted(t, &disk{})
	short := v.claimBody(t)
	short.Sealed = short.Sealed[1:]
	large := v.readyBody(1)
	large.Recovery = make([]byte, wire.MaxRecovery+1)
	for name, body := range map[string]any{
		"empty": json.RawMessage("{}"), "generation 0": wire.CommitRequest{}, "generation too large": wire.CommitRequest{Generation: wire.MaxGeneration},
		"short record": short, "large recovery": large, "unknown field": json.RawMessage(`{"generation":1,"x":1}`),
		"deep": json.RawMessage(strings.Repeat("[", 4000) + strings.Repeat("]", 4000)),
	} {
		for call := range calls() {
			if answer, err := w.send(t.Context(), call, v.newCall(t, call, body)); answer != nil || !errors.Is(err, wire.ErrShape) {
				t.Errorf("%s, %s: %v, %v", call, name, answer, err)
			}
		}
	}
	if i := w.row(t); i.State != wire.StateNew {
		t.Errorf("it is %s", i.State)
	}
}

// TestAutoInstance has launches make instances, up to the limit of the image.
func TestAutoInstance(t *testing.T) {
	w := newWorldOn(t, storetest.SQLite(t), wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 2, Generation: wire.GenerationReport})
	for range 2 {
		w.instance = store.Instance{ID: wire.NewUUID()}
		w.made(t)
		if i := w.row(t); !i.Auto || i.State != wire.StateReady || !strings.HasPrefix(i.Name, "auto-") {
			t.Errorf("made %+v", i)
		}
	}
	w.instance = store.Instance{ID: wire.NewUUID()}
	if err := w.launch(t, &disk{}).unlock(t); !denied(err, audit.ReasonInstanceLimit) {
		t.Errorf("got %v", err)
	}
	entries, err := w.database.ListAudit(t.Context(), store.AuditFilter{Reason: string(audit.ReasonInstanceMade)}, store.AuditRange{Limit: 9})
	must(t, err)
	if len(entries) != 2 || entries[0].InstanceID.IsZero() {
		t.Errorf("recorded %+v", entries)
	}
}
