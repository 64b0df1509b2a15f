package unlock_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/guesttest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// TestKeysOfStates looks at which keys an instance is given, and what is kept of that.
func TestKeysOfStates(t *testing.T) {
	for _, state := range []wire.InstanceState{wire.StateNew, wire.StateClaimed, wire.StateReady} {
		t.Run(string(state), func(t *testing.T) {
			w := newWorld(t)
			v := w.instance(t, state)
			g := w.boot(t, v)
			grant, keys := w.grant(t, g)
			want, generation := map[wire.InstanceState][]byte{
				wire.StateNew: w.image.VMK, wire.StateClaimed: slices.Concat(w.image.VMK, v.key), wire.StateReady: v.key,
			}[state], v.Generation
			if !bytes.Equal(keys, want) || grant.State != state || grant.Instance != v.ID || grant.Generation != generation {
				t.Errorf("granted %s of %s, generation %d, %d bytes", grant.State, grant.Instance, grant.Generation, len(keys))
			}
			boot := v.Granted
			if boot.ReportID != g.Report.ReportID || !bytes.Equal(boot.BootKey[:], g.BootKey[32:]) || boot.Release != w.launch.Release.ID || boot.Generation != generation {
				t.Errorf("the latest boot is %+v", boot)
			}
			r := w.records[0]
			if r.InstanceID != v.ID || r.Details["instance_state"] != string(state) || len(w.rollbacks) != 0 || r.Details["rollback"] != "" {
				t.Errorf("recorded %+v, rollbacks %v", r.Record, w.rollbacks)
			}
		})
	}
}

// TestImageWithoutInstances ignores what HOST_DATA and the disk show.
func TestImageWithoutInstances(t *testing.T) {
	w := newWorld(t)
	v := w.instance(t, wire.StateReady)
	w.launch.Image.Instances.Mode = wire.InstancesNone
	w.instances = nil
	g := w.boot(t, v)
	g.SealedVMK = w.image.SealedVMK
	if grant, keys := w.grant(t, g); grant.State != wire.StateNone || !grant.Instance.IsZero() || !bytes.Equal(keys, w.image.VMK) {
		t.Errorf("granted %+v", grant)
	}
	if r := w.records[0]; !r.InstanceID.IsZero() {
		t.Errorf("recorded instance %s", r.InstanceID)
	}
}

// TestInstanceAttacks plays hosts that choose HOST_DATA and what the disk shows.
func TestInstanceAttacks(t *testing.T) {
	named := func(state wire.InstanceState) func(*testing.T, *world) *vm {
		return func(t *testing.T, w *world) *vm { return w.instance(t, state) }
	}
	for _, tc := range []struct {
		name   string
		of     func(*testing.T, *world) *vm
		attack func(*testing.T, *world, *vm, *guesttest.Guest)
		want   audit.Reason
	}{
		{"HOST_DATA of no instance", named(wire.StateNew), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.Report.HostData = [wire.HostDataSize]byte{}
		}, audit.ReasonInstanceRequired},
		{"HOST_DATA of something else", named(wire.StateNew), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.Report.HostData[0] ^= 1
		}, audit.ReasonInstanceRequired},
		{"HOST_DATA of the zero UUID", named(wire.StateNew), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.Report.HostData = wire.HostData(wire.UUID{})
		}, audit.ReasonInstanceRequired},
		{"HOST_DATA of an unknown instance", named(wire.StateNew), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.Report.HostData = wire.HostData(wire.NewUUID())
		}, audit.ReasonInstanceUnknown},
		{"HOST_DATA of another image's instance", named(wire.StateNew), func(_ *testing.T, _ *world, v *vm, _ *guesttest.Guest) {
			v.Image = wire.NewUUID()
		}, audit.ReasonInstanceUnknown},
		{"HOST_DATA of another instance, ready", named(wire.StateReady), func(t *testing.T, w *world, _ *vm, g *guesttest.Guest) {
			g.Report.HostData = wire.HostData(w.instance(t, wire.StateReady).ID)
		}, audit.ReasonInstanceKey},
		{"disabled instance", named(wire.StateReady), func(_ *testing.T, _ *world, v *vm, _ *guesttest.Guest) { v.Enabled = false }, audit.ReasonInstanceDisabled},
		{"deleted instance", named(wire.StateReady), func(_ *testing.T, w *world, v *vm, _ *guesttest.Guest) { v.DeletedAt = w.now }, audit.ReasonInstanceDisabled},
		{"golden disk of a claimed instance", named(wire.StateClaimed), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.Disk = wire.InstanceDisk{}
		}, audit.ReasonInstanceKey},
		{"golden disk of a ready instance", named(wire.StateReady), func(_ *testing.T, w *world, _ *vm, g *guesttest.Guest) {
			g.Disk, g.SealedVMK = wire.InstanceDisk{}, w.image.SealedVMK
		}, audit.ReasonInstanceKey},
		{"key sealed by the host, claimed", named(wire.StateClaimed), hostKey, audit.ReasonInstanceKey},
		{"key sealed by the host, ready", named(wire.StateReady), hostKey, audit.ReasonInstanceKey},
		{"key sealed by the host, and the golden record", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			hostKey(t, w, v, g)
			g.SealedVMK = w.image.SealedVMK
		}, audit.ReasonInstanceKey},
		{"record of another instance, claimed by the same hash", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			other := w.instance(t, wire.StateReady)
			g.Disk.Sealed, v.Sealed = [][]byte{other.secret.Sealed}, other.secret.Hash()
		}, audit.ReasonInstanceKey},
		{"record that does not open, claimed by its hash", named(wire.StateReady), func(_ *testing.T, _ *world, v *vm, g *guesttest.Guest) {
			broken := guesttest.Secret{Sealed: make([]byte, wire.SealedGuestSecretSize)}
			g.Disk.Sealed, v.Sealed = [][]byte{broken.Sealed}, broken.Hash()
		}, audit.ReasonInstanceKey},
		{"record of the zero hash", named(wire.StateReady), func(_ *testing.T, _ *world, v *vm, _ *guesttest.Guest) { v.Sealed = [32]byte{} }, audit.ReasonInstanceKey},
		{"claimed, and no golden record", named(wire.StateClaimed), func(_ *testing.T, _ *world, _ *vm, g *guesttest.Guest) {
			g.SealedVMK = make([]byte, wire.SealedVMKSize)
		}, audit.ReasonSealedVMK},
		{"new, and another image's golden record", named(wire.StateNew), func(t *testing.T, w *world, _ *vm, g *guesttest.Guest) {
			g.SealedVMK = guesttest.NewImage(t, w.service.Ingestion.Public()).SealedVMK
		}, audit.ReasonSealedVMK},
		{"rolled back where that is enforced", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			w.launch.Image.Instances.Generation = wire.GenerationEnforce
			w.shows(t, g, v, 3, 4)
		}, audit.ReasonRollback},
		{"no generation where that is enforced", named(wire.StateReady), func(_ *testing.T, w *world, _ *vm, g *guesttest.Guest) {
			w.launch.Image.Instances.Generation = wire.GenerationEnforce
			g.Disk.Generations = nil
		}, audit.ReasonRollback},
		{"generation that the host wrote", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			w.launch.Image.Instances.Generation = wire.GenerationEnforce
			w.shows(t, g, v, 4, 5)
			g.Disk.Generations[0].Number, g.Disk.Generations[1].Number = 5, 6
		}, audit.ReasonRollback},
		{"generation of another instance", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			other := w.instance(t, wire.StateReady)
			w.launch.Image.Instances.Generation = wire.GenerationEnforce
			g.Disk.Generations = []wire.Generation{w.image.Generation(t, other.ID, v.key, 5), w.image.Generation(t, v.ID, other.key, 5)}
		}, audit.ReasonRollback},
		{"how generations count is unknown", named(wire.StateReady), func(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
			w.launch.Image.Instances.Generation = ""
			w.shows(t, g, v, 4)
		}, audit.ReasonRollback},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			v := tc.of(t, w)
			g := w.boot(t, v)
			tc.attack(t, w, v, g)
			w.denies(t, g, tc.want)
			if v.Granted != (store.Boot{}) {
				t.Errorf("it became the latest boot: %+v", v.Granted)
			}
		})
	}
}

// hostKey has the host seal a secret of its own to the image's public key, which the
// disk has, to put its own root under the key that follows from it.
func hostKey(t *testing.T, w *world, v *vm, g *guesttest.Guest) {
	own := w.image.NewSecret(t, v.ID)
	g.Disk.Sealed = [][]byte{own.Sealed, w.image.NewSecret(t, v.ID).Sealed}
	g.Disk.Generations = nil
}

// TestHostKeyUnderNewInstance: what the disk shows of a new instance counts for nothing.
func TestHostKeyUnderNewInstance(t *testing.T) {
	w := newWorld(t)
	v := w.instance(t, wire.StateNew)
	g := w.boot(t, v)
	hostKey(t, w, v, g)
	g.Disk.Generations = []wire.Generation{{Number: 9, MAC: make([]byte, wire.MACSize)}}
	if grant, keys := w.grant(t, g); grant.State != wire.StateNew || !bytes.Equal(keys, w.image.VMK) || grant.Generation != 0 {
		t.Errorf("granted %+v", grant)
	}
}

// TestSecondRecordCounts: one of both places is enough.
func TestSecondRecordCounts(t *testing.T) {
	w := newWorld(t)
	v := w.instance(t, wire.StateReady)
	g := w.boot(t, v)
	g.Disk.Sealed = [][]byte{w.image.NewSecret(t, v.ID).Sealed, v.secret.Sealed}
	if _, keys := w.grant(t, g); !bytes.Equal(keys, v.key) {
		t.Error("another key")
	}
}

// TestGenerations boots on what the disk shows.
func TestGenerations(t *testing.T) {
	type allowed struct {
		generation uint64
		until      time.Duration
	}
	for _, tc := range []struct {
		name   string
		mode   wire.GenerationMode
		shown  []uint64
		allow  allowed
		want   uint64 // 0: denied
		became unlock.Rollback
	}{
		{"the committed one", wire.GenerationEnforce, []uint64{4, 5}, allowed{}, 5, ""},
		{"in either place", wire.GenerationEnforce, []uint64{5, 4}, allowed{}, 5, ""},
		{"a newer one", wire.GenerationEnforce, []uint64{8, 7}, allowed{}, 8, ""},
		{"an older one, reported", wire.GenerationReport, []uint64{2, 3}, allowed{}, 5, unlock.RollbackReported},
		{"none, reported", wire.GenerationReport, nil, allowed{}, 5, unlock.RollbackReported},
		{"an older one", wire.GenerationEnforce, []uint64{2, 3}, allowed{}, 0, unlock.RollbackDenied},
		{"an older one, allowed", wire.GenerationEnforce, []uint64{2, 3}, allowed{3, hour}, 5, unlock.RollbackAllowed},
		{"an older one, allowed and not enforced", wire.GenerationReport, []uint64{2, 3}, allowed{3, hour}, 5, unlock.RollbackAllowed},
		{"another is allowed", wire.GenerationEnforce, []uint64{2, 3}, allowed{2, hour}, 0, unlock.RollbackDenied},
		{"a newer one is allowed", wire.GenerationEnforce, []uint64{2, 3}, allowed{4, hour}, 0, unlock.RollbackDenied},
		{"the allowance ran out", wire.GenerationEnforce, []uint64{2, 3}, allowed{3, 0}, 0, unlock.RollbackDenied},
		{"none, and nothing is allowed", wire.GenerationEnforce, nil, allowed{0, hour}, 0, unlock.RollbackDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			v := w.instance(t, wire.StateReady)
			w.launch.Image.Instances.Generation = tc.mode
			v.Restore, v.RestoreUntil = tc.allow.generation, w.now.Add(tc.allow.until)
			g := w.boot(t, v)
			w.shows(t, g, v, tc.shown...)
			if tc.want == 0 {
				w.denies(t, g, audit.ReasonRollback)
			} else if grant, _ := w.grant(t, g); grant.Generation != tc.want || v.Granted.Generation != tc.want {
				t.Errorf("granted %d, kept %d", grant.Generation, v.Granted.Generation)
			}
			wanted := []unlock.Rollback{tc.became}
			if tc.became == "" {
				wanted = nil
			}
			if r := w.records[0]; !slices.Equal(w.rollbacks, wanted) || r.Details["rollback"] != string(tc.became) || (tc.became != "" && r.Details["committed"] != "5") ||
				(r.Reason == audit.ReasonRollback) != (tc.became == unlock.RollbackReported || tc.became == unlock.RollbackDenied) {
				t.Errorf("rollbacks %v, recorded %q, %v", w.rollbacks, r.Reason, r.Details)
			}
			if tc.want != 0 {
				w.grant(t, g)
				if len(w.rollbacks) != len(wanted) {
					t.Errorf("a retry counts as another rollback: %v", w.rollbacks)
				}
			}
		})
	}
}

// TestTwoCopies starts two copies of an instance: the later one is the latest boot, and
// a retry of the earlier one does not change that.
func TestTwoCopies(t *testing.T) {
	for _, state := range []wire.InstanceState{wire.StateNew, wire.StateClaimed, wire.StateReady} {
		w := newWorld(t)
		v := w.instance(t, state)
		first, second := w.boot(t, v), w.boot(t, v)
		w.grant(t, first)
		w.grant(t, second)
		w.grant(t, first)
		if v.Granted.ReportID != second.Report.ReportID {
			t.Errorf("%s: the latest boot is %x", state, v.Granted.ReportID)
		}
	}
}

// TestOtherBootKeyIsNoRetry keeps the HPKE key and changes the boot key.
func TestOtherBootKeyIsNoRetry(t *testing.T) {
	w := newWorld(t)
	v := w.instance(t, wire.StateNew)
	g := w.boot(t, v)
	w.grant(t, g)
	g.BootKey = bytes.Clone(g.BootKey)
	rand.Read(g.BootKey)
	w.denies(t, g, audit.ReasonReportIDReleased)
}

// TestInstanceChangesMeanwhile has an instance change between its lookup and the record.
func TestInstanceChangesMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*world, *vm)
		want   audit.Reason // as recorded
		retry  bool         // not decided: the guest tries again
	}{
		"claimed":      {func(_ *world, v *vm) { v.Sealed[0]++ }, audit.ReasonInstanceChanged, true},
		"reset":        {func(_ *world, v *vm) { v.State = wire.StateNew }, audit.ReasonInstanceChanged, true},
		"committed":    {func(_ *world, v *vm) { v.Generation++ }, audit.ReasonInstanceChanged, true},
		"allowed":      {func(_ *world, v *vm) { v.Restore = 3 }, audit.ReasonInstanceChanged, true},
		"allowed anew": {func(w *world, v *vm) { v.RestoreUntil = w.now }, audit.ReasonInstanceChanged, true},
		"disabled":     {func(_ *world, v *vm) { v.Enabled = false }, audit.ReasonInstanceDisabled, false},
		"deleted":      {func(w *world, v *vm) { v.DeletedAt = w.now }, audit.ReasonInstanceDisabled, false},
		"gone":         {func(w *world, v *vm) { delete(w.instances, v.ID) }, audit.ReasonInstanceUnknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.instance(t, wire.StateReady)
			g := w.boot(t, v)
			w.before = func() { tc.change(w, v) }
			grant, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
			if !tc.retry {
				w.checkDenied(t, grant, err, tc.want)
			} else if grant != nil || !errors.Is(err, unlock.ErrUnavailable) || w.observed[0] != audit.ReasonUndecided {
				t.Errorf("got %v, %v, observed %v", grant, err, w.observed)
			}
			if r := w.records[0]; r.Outcome != audit.OutcomeDenied || r.Reason != tc.want || r.InstanceID != v.ID {
				t.Errorf("recorded %+v", r.Record)
			}
			if v.Granted != (store.Boot{}) {
				t.Errorf("it became the latest boot")
			}
		})
	}
}

// TestAutoInstances makes instances of launches, up to the image's limit.
func TestAutoInstances(t *testing.T) {
	w := newWorld(t)
	w.launch.Image.Instances = wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 2, Generation: wire.GenerationReport}
	launch := func(id wire.UUID) *guesttest.Guest {
		g := w.guest(t)
		g.Report.HostData = wire.HostData(id)
		return g
	}
	first := wire.NewUUID()
	for _, id := range []wire.UUID{first, wire.NewUUID()} {
		if grant, _ := w.grant(t, launch(id)); grant.State != wire.StateNew || grant.Instance != id {
			t.Errorf("granted %+v", grant)
		}
		if i := w.instances[id]; i.Image != w.image.ID || i.CreatedBy != wire.PartyService || len(i.ShareSealed) == 0 {
			t.Errorf("made %+v", i)
		}
	}
	r := w.made[0]
	if len(w.made) != 2 || r.Reason != audit.ReasonInstanceMade || r.InstanceID != first || r.ImageID != w.image.ID {
		t.Errorf("recorded %+v", w.made)
	}
	w.denies(t, launch(wire.NewUUID()), audit.ReasonInstanceLimit)
	w.grant(t, launch(first))
	w.ensuring = store.ErrDeleted
	w.denies(t, launch(wire.NewUUID()), audit.ReasonInstanceDisabled)
	w.denies(t, launch(wire.UUID{}), audit.ReasonInstanceRequired)
}

// TestStrangersMakeNoInstance: only a launch that is proven makes one.
func TestStrangersMakeNoInstance(t *testing.T) {
	for name, attack := range map[string]func(*world, *guesttest.Guest){
		"policy": func(w *world, _ *guesttest.Guest) {
			w.launch.Image.Policy = []byte(`{"version":1,"platform":{"smt":false}}`)
		},
		"another":    func(_ *world, g *guesttest.Guest) { g.Report.Measurement[0]++ },
		"retired":    func(w *world, _ *guesttest.Guest) { w.launch.Release.State = wire.StateRetired },
		"user space": func(_ *world, g *guesttest.Guest) { g.Report.VMPL = 1 },
	} {
		w := newWorld(t)
		w.launch.Image.Instances = wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 2, Generation: wire.GenerationReport}
		g := w.guest(t)
		g.Report.HostData = wire.HostData(wire.NewUUID())
		attack(w, g)
		if _, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce)); err == nil || len(w.instances) != 0 {
			t.Errorf("%s: %v, instances %v", name, err, w.instances)
		}
	}
}

// TestInstanceTrouble fails what instances depend on: the guest may try again.
func TestInstanceTrouble(t *testing.T) {
	trouble := errors.New("connection refused")
	for name, fail := range map[string]func(*world, *vm){
		"share":   func(w *world, _ *vm) { w.sharing = trouble },
		"other's": func(_ *world, v *vm) { v.ShareSealed = make([]byte, 48) },
		"short":   func(_ *world, v *vm) { v.ShareSealed = v.ShareSealed[:40] },
		"state":   func(_ *world, v *vm) { v.State = "" },
		"auto": func(w *world, _ *vm) {
			w.launch.Image.Instances.Mode = wire.InstancesAuto
			w.instances, w.ensuring = map[wire.UUID]*store.Instance{}, trouble
		},
		"no share for auto": func(w *world, _ *vm) {
			w.launch.Image.Instances = wire.InstanceSettings{Mode: wire.InstancesAuto, Limit: 1}
			w.instances, w.sharing = map[wire.UUID]*store.Instance{}, trouble
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.instance(t, wire.StateReady)
			g := w.boot(t, v)
			fail(w, v)
			grant, err := w.unlock(t, g.Request(t, w.service.Challenge().Nonce))
			if grant != nil || !errors.Is(err, unlock.ErrUnavailable) || len(w.records) != 0 {
				t.Errorf("got %v, %v, records %v", grant, err, w.records)
			}
		})
	}
}
