package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func hex32(b [32]byte) string { return hex.EncodeToString(b[:]) }

func exampleDisk() *wire.InstanceDisk {
	return &wire.InstanceDisk{
		Sealed:      [][]byte{bytes.Repeat([]byte{1}, wire.SealedGuestSecretSize), bytes.Repeat([]byte{2}, wire.SealedGuestSecretSize)},
		Generations: []wire.Generation{{Number: 7, MAC: bytes.Repeat([]byte{3}, wire.MACSize)}, {Number: 8, MAC: bytes.Repeat([]byte{4}, wire.MACSize)}},
	}
}

func TestHostData(t *testing.T) {
	id := wire.UUID{0xA0, 15: 0xA1}
	data := wire.HostData(id)
	if want := "534e5047554152442d494e53542d3100a00000000000000000000000000000a1"; hex32(data) != want {
		t.Errorf("HOST_DATA is %x, want %s", data, want)
	}
	if got := wire.HostInstance(data); got != id {
		t.Errorf("the instance is %s", got)
	}
	for place := range 16 {
		other := data
		other[place]++
		if got := wire.HostInstance(other); !got.IsZero() {
			t.Errorf("with byte %d changed it names %s", place, got)
		}
	}
	if got := wire.HostInstance([32]byte{}); !got.IsZero() {
		t.Errorf("zeros name %s", got)
	}
}

// TestDiskHashCoversEverything changes each part of what a disk shows.
func TestDiskHashCoversEverything(t *testing.T) {
	seen := map[[32]byte]string{exampleDisk().Hash(): "unchanged"}
	for name, change := range map[string]func(*wire.InstanceDisk){
		"record":              func(d *wire.InstanceDisk) { d.Sealed[1][0]++ },
		"order":               func(d *wire.InstanceDisk) { d.Sealed[0], d.Sealed[1] = d.Sealed[1], d.Sealed[0] },
		"one record":          func(d *wire.InstanceDisk) { d.Sealed = d.Sealed[:1] },
		"no record":           func(d *wire.InstanceDisk) { d.Sealed = nil },
		"number":              func(d *wire.InstanceDisk) { d.Generations[0].Number++ },
		"code":                func(d *wire.InstanceDisk) { d.Generations[1].MAC[31]++ },
		"one generation":      func(d *wire.InstanceDisk) { d.Generations = d.Generations[:1] },
		"the other":           func(d *wire.InstanceDisk) { d.Generations = d.Generations[1:] },
		"nothing":             func(d *wire.InstanceDisk) { *d = wire.InstanceDisk{} },
		"generations, no key": func(d *wire.InstanceDisk) { d.Sealed, d.Generations = nil, d.Generations[:1] },
	} {
		d := exampleDisk()
		change(d)
		if other, dup := seen[d.Hash()]; dup {
			t.Errorf("%s gives the hash of %s", name, other)
		}
		seen[d.Hash()] = name
	}
}

func TestHostileDisks(t *testing.T) {
	request := func(d *wire.InstanceDisk) error {
		r := wire.UnlockRequest{
			Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), PublicKey: make([]byte, wire.PublicKeySize),
			BootKey: make([]byte, wire.BootKeySize), SealedVMK: make([]byte, wire.SealedVMKSize), Disk: *d,
		}
		return r.Validate()
	}
	if err := request(exampleDisk()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*wire.InstanceDisk){
		"three records":     func(d *wire.InstanceDisk) { d.Sealed = append(d.Sealed, d.Sealed[0]) },
		"three generations": func(d *wire.InstanceDisk) { d.Generations = append(d.Generations, d.Generations[0]) },
		"the same twice":    func(d *wire.InstanceDisk) { d.Sealed[1] = d.Sealed[0] },
		"short record":      func(d *wire.InstanceDisk) { d.Sealed[0] = d.Sealed[0][1:] },
		"generation 0":      func(d *wire.InstanceDisk) { d.Generations[0].Number = 0 },
		"last generation":   func(d *wire.InstanceDisk) { d.Generations[0].Number = wire.MaxGeneration },
		"short code":        func(d *wire.InstanceDisk) { d.Generations[0].MAC = d.Generations[0].MAC[1:] },
	} {
		d := exampleDisk()
		change(d)
		if err := request(d); !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBootCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		body interface{ Validate() error }
		good bool
	}{
		"claim":             {&wire.ClaimRequest{Sealed: make([]byte, wire.SealedGuestSecretSize), PublicKey: make([]byte, wire.PublicKeySize)}, true},
		"claim of nothing":  {&wire.ClaimRequest{PublicKey: make([]byte, wire.PublicKeySize)}, false},
		"claim, no key":     {&wire.ClaimRequest{Sealed: make([]byte, wire.SealedGuestSecretSize)}, false},
		"ready":             {&wire.ReadyRequest{Sealed: make([]byte, 32), Generation: 1}, true},
		"ready, largest":    {&wire.ReadyRequest{Sealed: make([]byte, 32), Generation: 1, Recovery: make([]byte, wire.MaxRecovery)}, true},
		"ready, too large":  {&wire.ReadyRequest{Sealed: make([]byte, 32), Generation: 1, Recovery: make([]byte, wire.MaxRecovery+1)}, false},
		"ready, generation": {&wire.ReadyRequest{Sealed: make([]byte, 32), Generation: 0}, false},
		"ready, no hash":    {&wire.ReadyRequest{Generation: 1}, false},
		"commit":            {&wire.CommitRequest{Generation: 2}, true},
		"commit 0":          {&wire.CommitRequest{}, false},
		"commit of the end": {&wire.CommitRequest{Generation: wire.MaxGeneration}, false},
		"answer":            {&wire.InstanceAnswer{Instance: wire.UUID{1}, State: wire.StateReady, Generation: 1}, true},
		"answer, claimed":   {&wire.InstanceAnswer{Instance: wire.UUID{1}, State: wire.StateClaimed}, false},
		"answer, nobody's":  {&wire.InstanceAnswer{State: wire.StateReady, Generation: 1}, false},
		"claimed":           {claimAnswer(wire.StateClaimed, 0), true},
		"claimed, new":      {claimAnswer(wire.StateNew, 0), false},
		"claimed, booted":   {claimAnswer(wire.StateClaimed, 1), false},
	} {
		if err := tc.body.Validate(); tc.good != (err == nil) || !tc.good && !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func claimAnswer(state wire.InstanceState, generation uint64) *wire.ClaimAnswer {
	return &wire.ClaimAnswer{
		InstanceAnswer: wire.InstanceAnswer{Instance: wire.UUID{1}, State: state, Generation: generation},
		Share:          make([]byte, wire.SealedShareSize), Receipt: make([]byte, 64),
	}
}

// TestLargestBootCallFits encodes the largest valid call.
func TestLargestBootCallFits(t *testing.T) {
	body, err := json.Marshal(wire.ReadyRequest{Sealed: make([]byte, 32), Generation: 1, Recovery: make([]byte, wire.MaxRecovery)})
	if err != nil || len(body) > wire.MaxBootCallBody {
		t.Fatalf("%d bytes, %v; the limit is %d", len(body), err, wire.MaxBootCallBody)
	}
	call := wire.BootCall{GuestCall: wire.GuestCall{
		Report: make([]byte, 1184), Certificates: make([]byte, wire.MaxCertificates), Nonce: make([]byte, wire.NonceSize), Body: make([]byte, wire.MaxBootCallBody),
		BootSignature: make([]byte, 64),
	}}
	if err := call.Validate(); err != nil {
		t.Error(err)
	}
	encoded, err := json.Marshal(call)
	if err != nil || len(encoded) > wire.MaxBootCall {
		t.Errorf("%d bytes, %v; the limit is %d", len(encoded), err, wire.MaxBootCall)
	}
}
