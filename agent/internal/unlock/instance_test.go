package unlock_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instancetest"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// instanceWorld is a service with an image and one instance, and the launch of that.
type instanceWorld struct {
	t       *testing.T
	service *instancetest.Service
	config  *bootconf.Config
	id      wire.UUID
	sealed  []byte // the guest secret as the disk shows it

	hostData [wire.HostDataSize]byte
	reports  int // how many there were
	changed  int // the report from which on HOST_DATA is another, 0 for none
	reportID byte
	logged   string
}

func newInstanceWorld(t *testing.T) *instanceWorld {
	t.Helper()
	golden := make([]byte, wire.VMKSize)
	rand.Read(golden)
	w := &instanceWorld{t: t, id: wire.NewUUID(), reportID: 1}
	image := wire.NewUUID()
	w.service = instancetest.New(t, image, w.id, golden)
	url, ca := w.service.Serve(t)
	commitment := wire.VMKCommitment(image, golden)
	w.config = &bootconf.Config{
		ImageID: image, Services: []string{url}, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})),
		IdentityKey: w.service.Identity.Public().(ed25519.PublicKey), VMKCommitment: hex.EncodeToString(commitment[:]),
	}
	w.hostData = wire.HostData(w.id)
	var err error
	w.sealed, err = w.service.Unsealing.Public().Seal(wire.GuestSecretInfo(image, w.id), make([]byte, wire.GuestSecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *instanceWorld) attest(data [report.DataSize]byte) (*report.Evidence, error) {
	e := &report.Evidence{Report: make([]byte, report.Size), Provider: "fake"}
	copy(e.Report[instancetest.OffsetReportData:], data[:])
	copy(e.Report[instancetest.OffsetHostData:], w.hostData[:])
	e.Report[instancetest.OffsetReportID] = w.reportID
	if w.reports++; w.changed > 0 && w.reports >= w.changed {
		e.Report[instancetest.OffsetHostData+31] ^= 1
	}
	return e, nil
}

// is puts the instance into a state.
func (w *instanceWorld) is(state wire.InstanceState) {
	row := w.service.Instances[w.id]
	row.State, row.Generation = state, 0
	row.Sealed = sum(w.sealed)
	if state == wire.StateReady {
		row.Generation = 4
	}
}

// run is one round of an unlock with what the disk shows.
func (w *instanceWorld) run(disk wire.InstanceDisk) (*unlock.Session, *unlock.Result, error) {
	w.t.Helper()
	w.reports = 0
	launch, err := report.Identify(w.attest)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := unlock.New(w.config, launch, make([]byte, wire.SealedVMKSize), disk)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, l := w.once()
	r, err := s.Run(ctx, l)
	return s, r, err
}

// once is a loop that ends with the first refusal.
func (w *instanceWorld) once() (context.Context, unlock.Loop) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	l := loop(w.t)
	l.Log = func(format string, args ...any) {
		w.logged = format
		cancel()
	}
	return ctx, l
}

func (w *instanceWorld) shown() wire.InstanceDisk {
	return wire.InstanceDisk{Sealed: [][]byte{w.sealed}}
}

// TestKeysOfStates has the keys that belong to each state, and no others.
func TestKeysOfStates(t *testing.T) {
	w := newInstanceWorld(t)
	volume, err := wire.VolumeKey(make([]byte, wire.GuestSecretSize), w.service.Instances[w.id].Share, w.config.ImageID, w.id)
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[wire.InstanceState]unlock.Result{
		wire.StateNew:     {Instance: w.id, Golden: w.service.Golden},
		wire.StateClaimed: {Instance: w.id, Golden: w.service.Golden, Volume: volume},
		wire.StateReady:   {Instance: w.id, Volume: volume, Generation: 4},
	} {
		w.is(state)
		_, r, err := w.run(w.shown())
		if err != nil || r.State != state || r.Instance != want.Instance || r.Generation != want.Generation ||
			!bytes.Equal(r.Golden, want.Golden) || !bytes.Equal(r.Volume, want.Volume) {
			t.Errorf("%s: %+v, %v", state, r, err)
			continue
		}
		r.Wipe()
		if len(bytes.Trim(r.Golden, "\x00"))+len(bytes.Trim(r.Volume, "\x00")) > 0 {
			t.Errorf("%s: a key is left", state)
		}
	}
	w.service.None = true // the image has no instances, whatever the host names
	_, r, err := w.run(w.shown())
	if err != nil || r.State != wire.StateNone || !r.Instance.IsZero() || !bytes.Equal(r.Golden, w.service.Golden) || r.Volume != nil {
		t.Errorf("none: %+v, %v", r, err)
	}
}

// TestGrantsOfInstances has grants that are signed and not for this, and denials.
func TestGrantsOfInstances(t *testing.T) {
	other := wire.NewUUID()
	nothing := wire.InstanceDisk{}
	for name, tc := range map[string]struct {
		state  wire.InstanceState
		disk   *wire.InstanceDisk
		change func(w *instanceWorld)
		want   string
	}{
		"another instance": {wire.StateNew, nil, func(w *instanceWorld) {
			w.service.Grant = func(g *wire.Grant) { g.Instance = other }
		}, "another instance than HOST_DATA names"},
		"an instance for a launch of none": {wire.StateNew, nil, func(w *instanceWorld) {
			w.hostData = [wire.HostDataSize]byte{}
			w.service.Instances[wire.UUID{}] = w.service.Instances[w.id]
			w.service.Grant = func(g *wire.Grant) { g.Instance = w.id }
		}, "another instance than HOST_DATA names"},
		"golden key as a ready one": {wire.StateNew, nil, func(w *instanceWorld) {
			w.service.Grant = func(g *wire.Grant) { g.State, g.Generation = wire.StateReady, 1 }
		}, "the volume key is the golden key"},
		"volume key as the golden one": {wire.StateReady, nil, func(w *instanceWorld) {
			w.service.Grant = func(g *wire.Grant) { g.State, g.Generation = wire.StateNew, 0 }
		}, "not the measured one"},
		"volume key without an instance": {wire.StateReady, nil, func(w *instanceWorld) {
			w.service.Grant = func(g *wire.Grant) { g.State, g.Generation, g.Instance = wire.StateNone, 0, wire.UUID{} }
		}, "not the measured one"},
		"keys of claimed as ready": {wire.StateClaimed, nil, func(w *instanceWorld) {
			w.service.Grant = func(g *wire.Grant) { g.State, g.Generation = wire.StateReady, 1 }
		}, "malformed message"},
		"another golden key": {wire.StateClaimed, nil, func(w *instanceWorld) {
			w.service.Golden = make([]byte, wire.VMKSize)
		}, "not the measured one"},
		"ready, and no record is there": {wire.StateNew, &nothing, func(w *instanceWorld) {
			w.service.Golden = make([]byte, wire.VMKSize)
			w.service.Grant = func(g *wire.Grant) { g.State, g.Generation = wire.StateReady, 1 }
		}, "shows no record"},
		"record is not shown":     {wire.StateReady, &nothing, func(*instanceWorld) {}, "denied"},
		"another sealed secret":   {wire.StateReady, &wire.InstanceDisk{Sealed: [][]byte{make([]byte, wire.SealedGuestSecretSize)}}, func(*instanceWorld) {}, "denied"},
		"unknown":                 {wire.StateNew, nil, func(w *instanceWorld) { w.hostData = wire.HostData(other) }, "denied"},
		"none":                    {wire.StateNew, nil, func(w *instanceWorld) { w.hostData = [wire.HostDataSize]byte{} }, "denied"},
		"HOST_DATA changes later": {wire.StateNew, nil, func(w *instanceWorld) { w.changed = 2 }, "not that of this launch's first report"},
	} {
		w := newInstanceWorld(t)
		w.is(tc.state)
		tc.change(w)
		disk := w.shown()
		if tc.disk != nil {
			disk = *tc.disk
		}
		if _, r, err := w.run(disk); err == nil || r != nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestCalls makes a call of a boot: repeated when its answer is lost, ended by a denial, not
// made before the unlock, and by the boot key and the first report's launch alone.
func TestCalls(t *testing.T) {
	w := newInstanceWorld(t)
	w.is(wire.StateReady)
	s, r, err := w.run(w.shown())
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	w.service.After = func(string) bool { lost++; return lost < 3 }
	var answer wire.InstanceAnswer
	call := func(s *unlock.Session, generation uint64) error {
		_, l := w.once()
		_, err := s.Call(t.Context(), l, wire.CallCommit, &wire.CommitRequest{Generation: generation}, &answer)
		return err
	}
	if err := call(s, r.Generation+1); err != nil || lost != 3 || answer.Generation != 5 || answer.Instance != w.id {
		t.Errorf("%v after %d calls, %+v", err, lost, answer)
	}
	if err := call(s, 9); !errors.Is(err, service.ErrDenied) || lost != 4 {
		t.Errorf("denied: %v after %d calls", err, lost)
	}
	early, err := unlock.New(w.config, launch(t), make([]byte, wire.SealedVMKSize), wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	if err := call(early, 5); err == nil || !strings.Contains(err.Error(), "no service has granted") {
		t.Errorf("before the unlock: %v", err)
	}
	w.changed = 1
	ctx, l := w.once()
	if _, err := s.Call(ctx, l, wire.CallCommit, &wire.CommitRequest{Generation: 5}, &answer); err == nil || !strings.Contains(err.Error(), "not that of this launch") {
		t.Errorf("another HOST_DATA: %v", err)
	}
	w.changed, w.reportID = 0, 2 // a later boot
	if _, _, err := w.run(w.shown()); err != nil {
		t.Fatal(err)
	}
	w.reportID = 1
	if err := call(s, 6); !errors.Is(err, service.ErrDenied) || w.service.Denied[len(w.service.Denied)-1] != "boot_superseded" {
		t.Errorf("an earlier boot: %v, denied %q", err, w.service.Denied)
	}
	w.reportID = 2 // its report with the earlier boot's key
	if err := call(s, 6); !errors.Is(err, service.ErrDenied) || w.service.Denied[len(w.service.Denied)-1] != "boot_key" {
		t.Errorf("an earlier boot's key: %v, denied %q", err, w.service.Denied)
	}
}
