package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestGuestTranscripts pins the bytes of the calls of a running guest. The values were
// computed with Python's hashlib from docs/protocol.md.
func TestGuestTranscripts(t *testing.T) {
	image := wire.UUID{0: 1, 15: 16}
	binding := wire.CallBinding{Nonce: bytes.Repeat([]byte{0xA0}, wire.NonceSize), Image: image, Instance: wire.UUID{0: 2, 15: 17}, Body: [32]byte{0: 0xC2, 31: 0xC3}}
	for name, tc := range map[string]struct{ got, want string }{
		"update":         {hash64(binding.ReportData(wire.CallUpdate)), wantUpdate},
		"confirm":        {hash64(binding.ReportData(wire.CallConfirm)), wantConfirm},
		"update answer":  {hash(wire.AnswerTranscript(wire.CallUpdate, [64]byte{1}, []byte("{}"))), wantUpdateAnswer},
		"confirm answer": {hash(wire.AnswerTranscript(wire.CallConfirm, [64]byte{1}, []byte("{}"))), wantConfirmAnswer},
		"claim":          {hash64(binding.ReportData(wire.CallClaim)), wantClaim},
		"boot call":      {hash(wire.BootCallTranscript([64]byte{1})), wantBootCall},
		"share":          {hash(wire.ShareInfo([64]byte{1})), wantShare},
		"disk":           {hex32(exampleDisk().Hash()), wantDisk},
		"empty disk":     {hex32((&wire.InstanceDisk{}).Hash()), wantEmptyDisk},
		"machine":        {wire.MachineID(image, strings.Repeat("0123456789abcdef", 2)).String(), wantMachine},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

// TestCallsAreApart makes every transcript that a guest's chip or the identity key
// signs, from fields as alike as they can be: no two are the same, and changing any
// field of a call changes its own.
func TestCallsAreApart(t *testing.T) {
	nonce, other := make([]byte, wire.NonceSize), make([]byte, wire.NonceSize)
	other[63]++
	unlock := wire.UnlockBinding{Nonce: nonce}.ReportData()
	seen := map[string]string{hash64(unlock): "unlock", hash64(wire.ReportData(nonce)): "report of an application"}
	add := func(name, value string) {
		if first, dup := seen[value]; dup {
			t.Errorf("%s is %s", name, first)
		}
		seen[value] = name
	}
	for _, call := range []wire.Call{wire.CallUpdate, wire.CallConfirm, wire.CallClaim, wire.CallReady, wire.CallCommit} {
		add(string(call), hash64(wire.CallBinding{Nonce: nonce}.ReportData(call)))
		add(string(call)+", nonce", hash64(wire.CallBinding{Nonce: other}.ReportData(call)))
		add(string(call)+", image", hash64(wire.CallBinding{Nonce: nonce, Image: wire.UUID{1}}.ReportData(call)))
		add(string(call)+", instance", hash64(wire.CallBinding{Nonce: nonce, Instance: wire.UUID{1}}.ReportData(call)))
		add(string(call)+", body", hash64(wire.CallBinding{Nonce: nonce, Body: [32]byte{1}}.ReportData(call)))
		add(string(call)+", borders", hash64(wire.CallBinding{Nonce: append(nonce[:64:64], 0)}.ReportData(call)))
		add(string(call)+", answer", string(wire.AnswerTranscript(call, unlock, nil)))
		add(string(call)+", answer to another", string(wire.AnswerTranscript(call, [64]byte{}, nil)))
		add(string(call)+", other answer", string(wire.AnswerTranscript(call, unlock, []byte{0})))
	}
	add("grant", string(wire.GrantTranscript(unlock, &wire.Grant{})))
	add("boot call", string(wire.BootCallTranscript(unlock)))
	add("boot call, other", string(wire.BootCallTranscript([64]byte{1})))
	add("share", string(wire.ShareInfo(unlock)))
	add("info of the grant", string(wire.GrantInfo(unlock)))
}

func goodUpdate() wire.UpdateRequest {
	return wire.UpdateRequest{
		Machine: wire.UUID{1}, Running: "6.12.57+deb13-cloud-amd64",
		Kernels: []wire.InstalledKernel{{Release: "6.12.63+deb13-cloud-amd64", SHA256: strings.Repeat("0f", 32), Modules: true}},
	}
}

// TestHostileUpdateRequests sends what a guest could put into the fleet's list.
func TestHostileUpdateRequests(t *testing.T) {
	if r := goodUpdate(); r.Validate() != nil {
		t.Fatal(r.Validate())
	}
	for name, change := range map[string]func(*wire.UpdateRequest){
		"no machine":       func(r *wire.UpdateRequest) { r.Machine = wire.UUID{} },
		"oversize list":    func(r *wire.UpdateRequest) { r.Kernels = make([]wire.InstalledKernel, wire.MaxKernels+1) },
		"no release":       func(r *wire.UpdateRequest) { r.Running = "" },
		"markup":           func(r *wire.UpdateRequest) { r.Kernels[0].Release = "<script>" },
		"path":             func(r *wire.UpdateRequest) { r.Kernels[0].Release = "../../etc" },
		"dots":             func(r *wire.UpdateRequest) { r.Running = ".." },
		"escape":           func(r *wire.UpdateRequest) { r.Running = "6.1\x1b[2J" },
		"not ASCII":        func(r *wire.UpdateRequest) { r.Running = "6.1é" },
		"long":             func(r *wire.UpdateRequest) { r.Running = strings.Repeat("6", wire.MaxKernelRelease+1) },
		"short hash":       func(r *wire.UpdateRequest) { r.Kernels[0].SHA256 = "00" },
		"hash in capitals": func(r *wire.UpdateRequest) { r.Kernels[0].SHA256 = strings.Repeat("0F", 32) },
	} {
		r := goodUpdate()
		change(&r)
		if err := r.Validate(); !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAnswerShapes(t *testing.T) {
	good := func() wire.UpdateAnswer {
		return wire.UpdateAnswer{State: wire.UpdateAvailable, Available: &wire.AvailableRelease{
			Release: wire.UUID{1}, Kernel: "6.12", SHA256: strings.Repeat("0f", 32), Size: 1, Ticket: make([]byte, wire.TicketSize),
		}}
	}
	if a := good(); a.Validate() != nil {
		t.Fatal(a.Validate())
	}
	for name, change := range map[string]func(*wire.UpdateAnswer){
		"state":       func(a *wire.UpdateAnswer) { a.State, a.Available = "done", nil },
		"two states":  func(a *wire.UpdateAnswer) { a.State = wire.UpdateNone },
		"no release":  func(a *wire.UpdateAnswer) { a.Available = nil },
		"zero":        func(a *wire.UpdateAnswer) { a.Available.Release = wire.UUID{} },
		"kernel":      func(a *wire.UpdateAnswer) { a.Available.Kernel = "a/b" },
		"hash":        func(a *wire.UpdateAnswer) { a.Available.SHA256 = "" },
		"size":        func(a *wire.UpdateAnswer) { a.Available.Size = 0 },
		"ticket":      func(a *wire.UpdateAnswer) { a.Available.Ticket = nil },
		"waiting":     func(a *wire.UpdateAnswer) { a.Waiting = []string{"\n"} },
		"all waiting": func(a *wire.UpdateAnswer) { a.Waiting = bytesOf(wire.MaxKernels + 1) },
	} {
		a := good()
		change(&a)
		if err := a.Validate(); !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, validate := range map[string]func() error{
		"confirm":  (&wire.ConfirmRequest{}).Validate,
		"answer":   (&wire.ConfirmAnswer{}).Validate,
		"bundle":   (&wire.BundleRequest{Ticket: make([]byte, wire.TicketSize-1)}).Validate,
		"no body":  (&wire.GuestAnswer{Signature: make([]byte, 64)}).Validate,
		"body":     (&wire.GuestAnswer{Signature: make([]byte, 64), Body: make([]byte, wire.MaxCallBody+1)}).Validate,
		"unsigned": (&wire.GuestAnswer{Body: []byte("{}")}).Validate,
		"call":     (&wire.GuestCall{Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize)}).Validate,
		"certificates": (&wire.GuestCall{
			Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), Body: []byte("{}"), Certificates: make([]byte, wire.MaxCertificates+1),
		}).Validate,
	} {
		if err := validate(); !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func bytesOf(n int) []string { return strings.Split(strings.Repeat("6 ", n-1)+"6", " ") }

// TestLargestCallFits encodes the largest valid bodies and the largest call.
func TestLargestCallFits(t *testing.T) {
	r := goodUpdate()
	r.Running, r.Failed = strings.Repeat("6", wire.MaxKernelRelease), wire.UUID{1}
	r.Kernels[0].Release, r.Kernels[0].Modules = r.Running, false
	for len(r.Kernels) < wire.MaxKernels {
		r.Kernels = append(r.Kernels, r.Kernels[0])
	}
	body, err := json.Marshal(r)
	if err != nil || len(body) > wire.MaxCallBody || r.Validate() != nil {
		t.Errorf("%d bytes, %v, %v", len(body), err, r.Validate())
	}
	call, err := json.Marshal(wire.GuestCall{
		Report: make([]byte, 1184), Certificates: make([]byte, wire.MaxCertificates), Nonce: make([]byte, wire.NonceSize), Body: make([]byte, wire.MaxCallBody),
	})
	if err != nil || len(call) > wire.MaxGuestCall {
		t.Errorf("%d bytes, %v", len(call), err)
	}
}

func TestParseMachineID(t *testing.T) {
	good := strings.Repeat("0123456789abcdef", 2)
	for _, text := range []string{good, good + "\n"} {
		if id, err := wire.ParseMachineID(text); err != nil || id != good {
			t.Errorf("%q: %q, %v", text, id, err)
		}
	}
	for _, text := range []string{"", "uninitialized\n", good + "\n\n", strings.ToUpper(good), good[1:]} {
		if id, err := wire.ParseMachineID(text); err == nil {
			t.Errorf("%q: %q", text, id)
		}
	}
}

func hash64(b [64]byte) string { return hex.EncodeToString(b[:]) }

const (
	wantUpdate        = "e8670912b400f2da5073732af4ed61277aed513a499c2c7b43582209b92802229e438ad84c4757804ac7aabb1c6a1e8412ea56dc7a0d47a17fb8f58e2fbe173f"
	wantConfirm       = "5701de04b97c78a456e09f5097459f3c9823cbe130246b8c620b957a289690aa5129c552b8d3121dbaa98a1734546c4e35e72c5a1452c8e56fd100617d7c1c51"
	wantClaim         = "09860a6c789e9b62de229022f3eab016c9ebff96ee5a791951925b15971736e0ee194e2f522d7945ad509a7aaafd4b4c3bbdb0b92ee80a29eddeaa00bfd10784"
	wantBootCall      = "6d0a19ee88441e1845318f50c3cbf6839c0176a82d90356acc8ef844cf6cc9f1"
	wantShare         = "1f2616c0df9546d1ad87d716691b3cc091b3c80c448e26eb15de13c174cd79b1"
	wantDisk          = "f8aba73a8d1c811e23fab49dc53da53989f222ac84f3017254a353b481fff5cf"
	wantEmptyDisk     = "b5a5d4f2092509ad6e0422383d22bd1ac43d1b05fe42942d5855dd68f6b90a72"
	wantUpdateAnswer  = "c7991ad2c2fbaed44dfae894a50d05b974918195131d5448fa9c614f2d84c3a8"
	wantConfirmAnswer = "ac13b8e939a52fc057b1bcaaf492c56cb64d9adc40d8e24982b716921d29c17c"
	wantMachine       = "e88dce4b-53a1-7d5e-8068-e39b8c53e68d"
)
