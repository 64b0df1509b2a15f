package storetest

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// InstanceUnlock returns an unlock of an instance as no other is. It is granted while the
// release is as it was looked up, and the instance there and enabled; a grant says what
// REPORT_ID the instance's latest boot had before.
func InstanceUnlock(launch store.Launch, id wire.UUID) store.Unlock {
	u := GrantedOf(launch)
	u.Audit.Outcome, u.Audit.InstanceID = audit.OutcomeGranted, id
	return store.Unlock{
		Audit: u.Audit, Nonce: u.Nonce, Claim: u.Claim,
		Instance: &store.InstanceUse{ID: id, Boot: store.Boot{ReportID: u.Claim.ReportID, BootKey: Hash(), Release: launch.Release.ID, Generation: 3}},
		Decide: func(r audit.Record, f store.Facts) audit.Record {
			switch {
			case f.NonceUsed:
				return r.Denied(audit.ReasonNonceUsed, "", "", "")
			case f.Standing == nil || f.Standing.Seen != launch.Seen:
				return r.Denied(audit.ReasonPolicyChanged, "", "", "")
			case f.Instance == nil:
				return r.Denied("instance_unknown", "", "", "")
			case !f.Instance.Enabled || !f.Instance.DeletedAt.IsZero():
				return r.Denied("instance_disabled", "", "", "")
			case f.First != nil:
				r.Retry = true
			}
			r.Found = hex.EncodeToString(f.Instance.Granted.ReportID[:])
			f.Instance.Name = "changed" // it has a copy
			return r
		},
	}
}

// again returns the same unlock with another nonce, and another boot key.
func again(u store.Unlock) store.Unlock {
	use := *u.Instance
	use.Boot.BootKey = Hash()
	u.Nonce, u.Instance = &store.Nonce{Hash: Hash(), Expires: u.Nonce.Expires}, &use
	return u
}

func unlockOf(t *testing.T, s *store.Store, u store.Unlock) audit.Entry {
	t.Helper()
	e, err := s.RecordUnlock(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sameRow wants an instance to be kept as this.
func sameRow(t *testing.T, s *store.Store, what string, want *store.Instance) {
	t.Helper()
	if got := read(t, s, want.ID); !reflect.DeepEqual(got, *want) {
		t.Errorf("%s: got  %+v\nwant %+v", what, got, *want)
	}
}

func testInstanceUse(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i := newInstance(t, s, image.ID, "web-1")
	u := InstanceUnlock(launch, i.ID)
	u.Nonce.Expires = clock.Now().Add(time.Hour)
	if e := unlockOf(t, s, u); !e.Granted() {
		t.Fatalf("got %+v", e)
	}
	want := i
	want.Granted = u.Instance.Boot
	want.Granted.At = clock.Now()
	sameRow(t, s, "granted", &want)
	clock.Advance(time.Minute)
	if e := unlockOf(t, s, again(u)); !e.Granted() || !e.Retry {
		t.Errorf("got %+v", e)
	}
	sameRow(t, s, "a retry", &want)
	if e := unlockOf(t, s, u); e.Granted() {
		t.Errorf("with a used nonce: %+v", e)
	}
	sameRow(t, s, "a used nonce", &want)
	next := InstanceUnlock(launch, i.ID)
	next.Nonce.Expires = clock.Now().Add(time.Hour)
	if e := unlockOf(t, s, next); !e.Granted() {
		t.Errorf("got %+v", e)
	}
	want.Granted = next.Instance.Boot
	want.Granted.At = clock.Now()
	sameRow(t, s, "the next boot", &want)
	none := InstanceUnlock(launch, wire.NewUUID())
	none.Nonce.Expires = u.Nonce.Expires
	if e := unlockOf(t, s, none); e.Reason != "instance_unknown" {
		t.Errorf("got %+v", e)
	}
	none = again(none)
	none.Decide = func(r audit.Record, _ store.Facts) audit.Record { return r }
	if e, err := s.RecordUnlock(t.Context(), none); err == nil {
		t.Errorf("granted for no instance: %+v", e)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}

// Unlocks that name no instance ask for none.
func testInstanceNotNamed(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	d.exec(t, q(`ALTER TABLE instances RENAME TO instances_away`)...)
	if e := record(t, s, Granted(t, s)); !e.Granted() {
		t.Errorf("got %+v", e)
	}
}

// refusedCall makes a call that is denied, and returns why.
func refusedCall(t *testing.T, s *store.Store, c store.InstanceCall) audit.Reason {
	t.Helper()
	e, err := s.RecordInstanceCall(t.Context(), c)
	if err != nil || e.Outcome != audit.OutcomeDenied {
		t.Errorf("got %+v, %v", e, err)
	}
	return e.Reason
}

func testInstanceCalls(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i := newInstance(t, s, image.ID, "web-1")
	call := func(c store.InstanceCall) store.InstanceCall {
		c.Nonce.Expires = clock.Now().Add(time.Minute)
		return c
	}
	hash := Hash()
	first := call(claimCall(launch, i.ID, hash))
	if e := done(t, s, first); e.Kind != audit.KindGuest || e.InstanceID != i.ID || e.ImageID != image.ID || e.Seq != 1 || !e.Time.Equal(clock.Now()) {
		t.Errorf("got %+v", e)
	}
	want := i
	want.State, want.Sealed = wire.StateClaimed, hash
	sameRow(t, s, "claimed", &want)
	other := call(claimCall(launch, i.ID, Hash()))
	// A denied call has used up its nonce.
	for _, want := range []audit.Reason{"instance_claimed", audit.ReasonNonceUsed} {
		if got := refusedCall(t, s, other); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	nonceOfUnlock := InstanceUnlock(launch, i.ID)
	nonceOfUnlock.Nonce.Hash, nonceOfUnlock.Nonce.Expires = other.Nonce.Hash, other.Nonce.Expires
	if e := unlockOf(t, s, nonceOfUnlock); e.Reason != audit.ReasonNonceUsed {
		t.Errorf("got %+v", e)
	}
	sameRow(t, s, "after denials", &want)
}

func testInstanceReady(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	i, hash := newInstance(t, s, image.ID, "web-1"), Hash()
	call := func(c store.InstanceCall) store.InstanceCall {
		c.Nonce.Expires = clock.Now().Add(time.Minute)
		return c
	}
	done(t, s, call(claimCall(launch, i.ID, hash)))
	done(t, s, call(readyCall(launch, i.ID, 4)))
	got := read(t, s, i.ID)
	if got.State != wire.StateReady || got.Generation != 4 || string(got.Recovery) != "recovery" || got.RecoveryHash == [32]byte{} ||
		got.Committed.Generation != 4 || !got.Committed.At.Equal(clock.Now()) || !got.ReadyAt.Equal(clock.Now()) {
		t.Errorf("got %+v", got)
	}
	if page, err := s.ListInstances(t.Context(), store.InstanceFilter{}, "", 0); err != nil || len(page.Items) != 1 || page.Items[0].Recovery != nil || page.Items[0].RecoveryHash != got.RecoveryHash {
		t.Errorf("listed: %+v, %v", page, err)
	}
	// A grant, which is written without the recovery, leaves it.
	u := InstanceUnlock(launch, i.ID)
	u.Nonce.Expires = clock.Now().Add(time.Minute)
	unlockOf(t, s, u)
	got.Granted = u.Instance.Boot
	got.Granted.At = clock.Now()
	sameRow(t, s, "granted when ready", &got)

	if got := refusedCall(t, s, call(claimCall(launch, wire.NewUUID(), hash))); got != "instance_unknown" {
		t.Errorf("got %s", got)
	}
	if err := s.RetireRelease(t.Context(), release.ID, store.Verdict{By: Approver}); err != nil {
		t.Fatal(err)
	}
	if got := refusedCall(t, s, call(readyCall(launch, i.ID, 5))); got != audit.ReasonPolicyChanged {
		t.Errorf("got %s", got)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
}

// What Decide says is not believed when it makes no sense, and nothing is changed then.
func testInstanceCallBounds(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Named())
	launch := launchOf(t, s, image, release)
	fresh, ready := newInstance(t, s, image.ID, "new"), newInstance(t, s, image.ID, "ready")
	makeReady(t, s, launch, ready.ID, 4)
	ready = read(t, s, ready.ID)
	for name, tc := range map[string]struct {
		of     store.Instance
		change func(*store.Instance)
		good   bool
	}{
		"nothing":              {ready, func(*store.Instance) {}, true},
		"what is not a call's": {ready, func(i *store.Instance) { i.Name, i.Enabled, i.ShareSealed, i.Image = "x", false, nil, wire.UUID{} }, true},
		"claimed by nothing":   {fresh, func(i *store.Instance) { i.State = wire.StateClaimed }, false},
		"unknown state":        {fresh, func(i *store.Instance) { i.State = "x" }, false},
		"ready by nothing":     {fresh, func(i *store.Instance) { i.State, i.Generation = wire.StateReady, 1 }, false},
		"new again":            {ready, func(i *store.Instance) { *i = fresh }, false},
		"another claim":        {ready, func(i *store.Instance) { i.Sealed = Hash() }, false},
		"claimed again":        {ready, func(i *store.Instance) { i.State, i.Generation, i.ReadyAt = wire.StateClaimed, 0, time.Time{} }, false},
		"older generation":     {ready, func(i *store.Instance) { i.Generation = 3 }, false},
		"last generation":      {ready, func(i *store.Instance) { i.Generation = wire.MaxGeneration }, false},
		"large recovery":       {ready, func(i *store.Instance) { i.Recovery = make([]byte, wire.MaxRecovery+1) }, false},
	} {
		_, err := s.RecordInstanceCall(t.Context(), callOf(launch, tc.of.ID, tc.of.State, tc.change))
		if (err == nil) != tc.good {
			t.Errorf("%s: got %v", name, err)
		}
		if got := read(t, s, tc.of.ID); !reflect.DeepEqual(got, tc.of) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, tc.of)
		}
	}
	bad := claimCall(launch, fresh.ID, Hash())
	decide := bad.Decide
	for name, change := range map[string]func(*audit.Record){
		"granted":     func(r *audit.Record) { r.Outcome = audit.OutcomeGranted },
		"no outcome":  func(r *audit.Record) { r.Outcome = "" },
		"denied, why": func(r *audit.Record) { r.Outcome, r.Reason = audit.OutcomeDenied, "" },
	} {
		bad.Decide = func(f store.InstanceFacts) (store.Instance, audit.Record) {
			i, r := decide(f)
			change(&r)
			return i, r
		}
		if e, err := s.RecordInstanceCall(t.Context(), bad); err == nil {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	bad.Decide = func(store.InstanceFacts) (store.Instance, audit.Record) {
		return fresh, audit.Record{Outcome: audit.OutcomeDone}
	}
	bad.Instance = wire.NewUUID()
	if e, err := s.RecordInstanceCall(t.Context(), bad); err == nil {
		t.Errorf("of no instance: got %+v", e)
	}
	bad.Nonce.Expires = time.Now().Add(-time.Hour)
	if e, err := s.RecordInstanceCall(t.Context(), bad); err == nil {
		t.Errorf("with an old nonce: got %+v", e)
	}
}

// A transaction that is cut leaves the instance, the nonce and the log as they were.
func testInstanceCut(t *testing.T, d Database) {
	s := d.Open(t)
	image, release := withInstances(t, s, Auto())
	launch := launchOf(t, s, image, release)
	i := newInstance(t, s, image.ID, "web-1")
	u, call, auto := InstanceUnlock(launch, i.ID), claimCall(launch, i.ID, Hash()), Instance(image.ID, "")
	d.exec(t, q(`ALTER TABLE audit RENAME TO audit_away`)...)
	_, unlocking := s.RecordUnlock(t.Context(), u)
	_, calling := s.RecordInstanceCall(t.Context(), call)
	_, making := s.EnsureInstance(t.Context(), auto, audit.Record{Reason: "instance.created"})
	if unlocking == nil || calling == nil || making == nil {
		t.Errorf("got %v, %v, %v", unlocking, calling, making)
	}
	d.exec(t, q(`ALTER TABLE audit_away RENAME TO audit`)...)
	if got := read(t, s, i.ID); !reflect.DeepEqual(got, i) {
		t.Errorf("got  %+v\nwant %+v", got, i)
	}
	if err := s.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
	if e := unlockOf(t, s, u); !e.Granted() || e.Retry {
		t.Errorf("got %+v", e)
	}
	done(t, s, call)
	if got, err := s.EnsureInstance(t.Context(), auto, audit.Record{Reason: "instance.created"}); err != nil || got.ID != auto.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq != 3 {
		t.Errorf("got %s, %v", head, err)
	}
}
