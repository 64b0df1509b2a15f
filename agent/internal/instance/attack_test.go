package instance_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/reencrypt"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// hostsOwn is a disk of the host's making: a guest secret of its choice, sealed to the
// image's public key, and its own root under the key that it would like to come of that.
func (w *world) hostsOwn() *disk {
	d := newDisk(w.golden)
	secret := make([]byte, wire.GuestSecretSize)
	rand.Read(secret)
	sealed, err := w.service.Unsealing.Public().Seal(wire.GuestSecretInfo(w.config.ImageID, w.id), secret)
	must(w.t, err)
	record, err := instancedisk.EncodeRecord(instancedisk.ID{Image: w.config.ImageID, Instance: w.id}, sealed)
	must(w.t, err)
	copy(d.durable[instancedisk.RecordAt(0):], record)
	copy(d.durable[instancedisk.RecordAt(1):], record)
	return d
}

// TestKeyOfTheHost is the attack that claims are for: anybody can seal a secret to the
// image's public key. It is refused once the instance is claimed, and overwritten before.
func TestKeyOfTheHost(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	w.disk = w.hostsOwn()
	theirs, err := instancedisk.ReadRecords(w.disk, instancedisk.ID{Image: w.config.ImageID, Instance: w.id})
	must(t, err)
	key, err := w.boot()
	must(t, err)
	if err := w.ready(key); err != nil || w.row().Sealed == sha256.Sum256(theirs[0]) {
		t.Fatalf("new: %v", err)
	}
	for _, state := range []wire.InstanceState{wire.StateReady, wire.StateClaimed} {
		w.row().State = state
		w.disk = w.hostsOwn()
		if _, err := w.boot(); err == nil || w.service.Denied[len(w.service.Denied)-1] != "instance_key" {
			t.Errorf("%s: %v, denied %q", state, err, w.service.Denied)
		}
		if w.disk.done != 2 || len(w.disk.pending) > 0 { // the unlock
			t.Errorf("%s: something was written", state)
		}
	}
}

// TestAnswers has answers that the service has not given, or not for this.
func TestAnswers(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	other := wire.NewUUID()
	for name, tc := range map[string]struct {
		change func()
		want   string
		state  wire.InstanceState // in which the instance stays
	}{
		"unsigned": {func() {
			w.service.Signed = func(a *wire.GuestAnswer) { a.Signature[0] ^= 1 }
		}, "not signed", wire.StateClaimed},
		"changed": {func() {
			w.service.Signed = func(a *wire.GuestAnswer) { a.Body[len(a.Body)-2] ^= 1 }
		}, "not signed", wire.StateClaimed},
		"claim of another instance": {func() {
			w.service.Answer = func(_ wire.Call, a *wire.ClaimAnswer) { a.Instance = other }
		}, "another instance", wire.StateClaimed},
		"claim that is ready": {func() {
			w.service.Answer = func(_ wire.Call, a *wire.ClaimAnswer) { a.State, a.Generation = wire.StateReady, 1 }
		}, "malformed", wire.StateClaimed},
		"share for another": {func() {
			w.service.Answer = func(_ wire.Call, a *wire.ClaimAnswer) {
				key, err := seal.GenerateKey()
				must(t, err)
				a.Share, err = key.Public().Seal(wire.ShareInfo([64]byte{}), make([]byte, wire.KeyShareSize))
				must(t, err)
			}
		}, seal.ErrOpen.Error(), wire.StateClaimed},
		"receipt of another": {func() {
			w.service.Answer = func(_ wire.Call, a *wire.ClaimAnswer) { a.Receipt = make([]byte, 64) }
		}, "receipt is not signed", wire.StateClaimed},
		"ready of another instance": {func() {
			w.service.Answer = func(call wire.Call, a *wire.ClaimAnswer) {
				if call == wire.CallReady {
					a.Instance = other
				}
			}
		}, "another instance", wire.StateReady},
		"ready of another generation": {func() {
			w.service.Answer = func(call wire.Call, a *wire.ClaimAnswer) {
				if call == wire.CallReady {
					a.Generation++
				}
			}
		}, "another generation", wire.StateReady},
	} {
		w.fresh()
		tc.change()
		_, err := w.boot()
		if err == nil || !strings.Contains(err.Error(), tc.want) || w.row().State != tc.state {
			t.Errorf("%s: %v, %s", name, err, w.row().State)
		}
		for _, wiped := range [][]byte{w.first.Secret(), w.first.Key()} {
			if len(bytes.Trim(wiped, "\x00")) > 0 {
				t.Errorf("%s: a key is left", name)
			}
		}
		w.service.Signed, w.service.Answer = nil, nil
		key, err := w.boot() // an honest service still goes on
		if err == nil {
			err = w.ready(key)
		}
		if err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	w.service.Answer = func(_ wire.Call, a *wire.ClaimAnswer) { a.Generation += 5 }
	if _, err := w.boot(); err == nil || !strings.Contains(err.Error(), "another generation") {
		t.Errorf("commit of another generation: %v", err)
	}
}

// TestNoGoldenFileSystem leaves an instance new whose disk is none of the image's.
func TestNoGoldenFileSystem(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	rand.Read(w.disk.durable[luks2.PayloadOffset:])
	before := bytes.Clone(w.disk.durable)
	if _, err := w.boot(); err == nil || w.row().State != wire.StateNew || !bytes.Equal(before, w.disk.durable) || len(w.disk.pending) > 0 {
		t.Errorf("%v, %s", err, w.row().State)
	}
}

// halfway is an instance whose re-encryption was cut after some chunks.
func halfway(t *testing.T) *world {
	t.Helper()
	w := newExt4(t, 16, 6<<20)
	w.disk.left = 30
	if _, err := w.boot(); err == nil || w.row().State != wire.StateClaimed {
		t.Fatalf("%v, %s", err, w.row().State)
	}
	w.disk.cut(losses(0)["all kept"])
	return w
}

// TestJournalIsChanged has the host change, shorten and replay a journal. The boot stops
// with its reason and has written nothing but the receipt and the key for recovery: with
// the right bytes back it goes on.
func TestJournalIsChanged(t *testing.T) {
	w := halfway(t)
	whole := bytes.Clone(w.disk.durable)
	places := []int64{instancedisk.JournalAt(0), instancedisk.JournalAt(1)}
	for name, tc := range map[string]struct {
		change func(b []byte)
		want   error
		text   string
	}{
		"erased": {func(b []byte) {
			clear(b[places[0]:][:512])
			clear(b[places[1]:][:512])
		}, reencrypt.ErrNoJournal, ""},
		"changed": {func(b []byte) {
			b[places[0]+90] ^= 1
			b[places[1]+90] ^= 1
		}, reencrypt.ErrNoJournal, ""},
		"buffers gone": {func(b []byte) { clear(b[instancedisk.BufferAt(0):instancedisk.JournalAt(0)]) }, reencrypt.ErrNoJournal, ""},
		"exchanged": {func(b []byte) {
			first := bytes.Clone(b[places[0]:][:512])
			copy(b[places[0]:], b[places[1]:][:512])
			copy(b[places[1]:], first)
		}, reencrypt.ErrNoJournal, ""},
		"start put back": {func(b []byte) { // by a golden disk's first minute
			early := newExt4Start(t, w)
			copy(b[places[0]:], early[places[0]:][:512])
			clear(b[places[1]:][:512])
		}, nil, "does not show the measured file system"},
	} {
		w.disk = newDisk(whole)
		tc.change(w.disk.durable)
		before := bytes.Clone(w.disk.durable)
		_, err := w.boot()
		if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) || (tc.want == nil && !strings.Contains(err.Error(), tc.text)) {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range [][2]int64{{0, instancedisk.ReceiptOffset}, {instancedisk.BufferAt(0), int64(len(before))}} {
			if !bytes.Equal(before[part[0]:part[1]], w.disk.durable[part[0]:part[1]]) || w.row().State != wire.StateClaimed {
				t.Errorf("%s: something was written", name)
			}
		}
	}
	w.disk = newDisk(whole)
	key, err := w.boot()
	must(t, err)
	must(t, w.ready(key))
}

// newExt4Start is a disk with the journal's first record of the claim of a world.
func newExt4Start(t *testing.T, w *world) []byte {
	t.Helper()
	d := newDisk(w.golden)
	must(t, reencrypt.Volume{
		Device: d, PayloadOffset: luks2.PayloadOffset, PayloadSize: int64(len(w.plain)), SectorSize: xts.SmallSector,
		Image: w.config.ImageID, Instance: w.id, Sealed: w.row().Sealed,
	}.Begin(w.service.Golden))
	return d.durable
}

// TestGoldenIsPutBack has golden bytes in the place of a ready instance's: all of them, its
// record alone, or its payload alone.
func TestGoldenIsPutBack(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	whole := bytes.Clone(w.disk.durable)
	for name, change := range map[string]func(d []byte){
		"disk": func(d []byte) { copy(d, w.golden) },
		"record": func(d []byte) {
			copy(d[instancedisk.RecordAt(0):], w.golden[instancedisk.RecordAt(0):instancedisk.GenerationAt(0)])
		},
	} {
		w.disk = newDisk(whole)
		change(w.disk.durable)
		if _, err := w.boot(); err == nil || w.service.Denied[len(w.service.Denied)-1] != "instance_key" {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.disk = newDisk(whole)
	copy(w.disk.durable[luks2.PayloadOffset:], w.golden[luks2.PayloadOffset:])
	again, err := w.boot()
	must(t, err)
	if !bytes.Equal(again, key) { // which opens nothing of it: the file system is not there
		t.Error("another key")
	}
	if w.arrived(again) == nil {
		t.Error("the golden payload opens")
	}
}

// TestSecondCopy starts a second VM from the golden disk under the instance of the first,
// and one under an instance of its own.
func TestSecondCopy(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	first := w.disk
	w.disk = newDisk(w.golden)
	if _, err := w.boot(); err == nil || !slices.Contains(w.service.Denied, "instance_key") {
		t.Errorf("second copy: %v, denied %q", err, w.service.Denied)
	}
	// Two at once under a new one: the later claim is refused, and its disk is left golden.
	w.fresh()
	loser := w.disk
	w.between = func(*unlock.Result) {
		w.between, w.disk = nil, newDisk(w.golden)
		_, err := w.boot()
		must(t, err)
		w.disk = loser
	}
	if _, err := w.boot(); err == nil || !slices.Contains(w.service.Denied, "boot_superseded") {
		t.Errorf("two at once: %v, denied %q", err, w.service.Denied)
	}
	if !bytes.Equal(loser.durable[luks2.PayloadOffset:], w.golden[luks2.PayloadOffset:]) {
		t.Error("the loser's payload was changed")
	}
	// A disk of another instance.
	w.disk, w.id = first, wire.NewUUID()
	w.hostData = wire.HostData(w.id)
	w.service.Add(w.id)
	if _, err := w.boot(); err == nil || w.row().State != wire.StateNew {
		t.Errorf("the disk of another instance: %v, %s", err, w.row().State)
	}
	other := newExt4(t, 2, 300_000)
	otherKey, err := other.boot()
	must(t, err)
	if bytes.Equal(key, otherKey) {
		t.Error("two instances have one key")
	}
}

// TestHostileGenerations has the host write what it likes in the places of generations.
func TestHostileGenerations(t *testing.T) {
	w := newExt4(t, 2, 300_000)
	key, err := w.boot()
	must(t, err)
	of := instancedisk.ID{Image: w.config.ImageID, Instance: w.id}
	forged := func(number uint64) []byte {
		return instancedisk.EncodeGeneration(of, instancedisk.Generation{Number: number, MAC: [32]byte{1}})
	}
	at := func(place int) []byte {
		return w.disk.durable[instancedisk.GenerationAt(place):][:instancedisk.GenerationSize]
	}
	for name, change := range map[string]func(){
		"forged":       func() { copy(at(0), forged(1<<40)); copy(at(1), forged(1<<41)) },
		"out of range": func() { copy(at(0), forged(wire.MaxGeneration)); copy(at(1), forged(1<<64-1)) },
		"the newer gone": func() {
			newer := 0
			if bytes.Compare(at(1)[48:56], at(0)[48:56]) > 0 {
				newer = 1
			}
			clear(at(newer))
		},
		"both gone": func() { clear(at(0)); clear(at(1)) },
		"noise":     func() { rand.Read(at(0)); rand.Read(at(1)) },
		"twice":     func() { copy(at(0), at(1)) },
	} {
		before := w.row().Generation
		change()
		again, err := w.boot()
		must(t, err)
		w.used = nil
		if err := w.ready(again); err != nil || !bytes.Equal(again, key) || w.row().Generation != before+1 {
			t.Errorf("%s: %v, %d after %d", name, err, w.row().Generation, before)
		}
	}
	w.between = func(grant *unlock.Result) { grant.Generation = 1 } // less than the disk has shown
	if _, err := w.boot(); err == nil || !strings.Contains(err.Error(), "newer generation") {
		t.Errorf("a grant below what was shown: %v", err)
	}
	w.between = func(grant *unlock.Result) { grant.Generation = wire.MaxGeneration - 1 }
	if _, err := w.boot(); err == nil || !strings.Contains(err.Error(), "too high") {
		t.Errorf("the last generation: %v", err)
	}
}
