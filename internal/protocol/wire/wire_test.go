package wire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestUUIDText(t *testing.T) {
	u := wire.UUID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got := u.String(); got != "00112233-4455-6677-8899-aabbccddeeff" {
		t.Errorf("got %s", got)
	}
	for _, s := range []string{u.String(), "00112233-4455-6677-8899-AABBCCDDEEFF"} {
		if got, err := wire.ParseUUID(s); err != nil || got != u {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef", "0011223g-4455-6677-8899-aabbccddeeff",
		"00112233-4455-6677-8899-aabbccddeeff0", "{00112233-4455-6677-8899-aabbccddee}"} {
		if got, err := wire.ParseUUID(s); err == nil {
			t.Errorf("%q: got %s", s, got)
		}
	}
	if a, b := wire.NewUUID(), wire.NewUUID(); a == b || a.IsZero() || a[6]>>4 != 4 || a[8]>>6 != 2 {
		t.Errorf("random UUIDs %s, %s", a, b)
	}
}

// TestTranscripts pins the bytes: changing any breaks every agent in the field.
// The values were computed with Python's hashlib from docs/protocol.md, whose own
// example has a test in test/docs.
func TestTranscripts(t *testing.T) {
	image := wire.UUID{0: 1, 15: 16}
	binding := wire.UnlockBinding{
		Nonce: bytes.Repeat([]byte{0xA0}, wire.NonceSize), PublicKey: bytes.Repeat([]byte{0xB1}, wire.PublicKeySize),
		BootKey: bytes.Repeat([]byte{0xB2}, wire.BootKeySize), Image: image, Instance: wire.UUID{0: 2, 15: 17},
		SealedVMK: [32]byte{0: 0xC2, 31: 0xC3}, Disk: [32]byte{0: 0xC4, 31: 0xC5},
	}
	data := binding.ReportData()
	grant := wire.GrantTranscript(data, &wire.Grant{
		Time: 0x0102030405060708, State: wire.StateReady, Instance: binding.Instance, Generation: 0x1112131415161718,
		Enc: bytes.Repeat([]byte{0xD4}, wire.EncSize), Ciphertext: bytes.Repeat([]byte{0xE5}, wire.GrantSize),
	})
	commitment := wire.VMKCommitment(image, bytes.Repeat([]byte{0xF6}, wire.VMKSize))
	report := wire.ReportData(bytes.Repeat([]byte{0x5A}, wire.MinReportNonce))
	for name, tc := range map[string]struct{ got, want string }{
		"report":             {hex.EncodeToString(report[:]), wantReport},
		"report data":        {hex.EncodeToString(data[:]), wantReportData},
		"grant":              {hash(grant), wantGrant},
		"grant info":         {hash(wire.GrantInfo(data)), wantGrantInfo},
		"sealed VMK info":    {hex.EncodeToString(wire.SealedVMKInfo(image)), "00000016736e7067756172642f76312f7365616c65642d766d6b0000001001000000000000000000000000000010"},
		"unsealing key info": {hex.EncodeToString(wire.UnsealingKeyInfo(image)), "00000019736e7067756172642f76312f756e7365616c696e672d6b65790000001001000000000000000000000000000010"},
		"commitment":         {hex.EncodeToString(commitment[:]), wantCommitment},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

func TestParseReportNonce(t *testing.T) {
	for text, want := range map[string]int{
		strings.Repeat("5a", 16): 16, strings.Repeat("5A", 64): 64, "WlpaWlpaWlpaWlpaWlpaWg==": 16,
		"": 0, "zz": 0, strings.Repeat("5a", 15): 0, strings.Repeat("5a", 65): 0, "WlpaWg==": 0,
	} {
		got, err := wire.ParseReportNonce(text)
		if (err == nil) != (want > 0) || len(got) != want {
			t.Errorf("%q: %x, %v", text, got, err)
		}
	}
}

// TestReportDataBindsEverything changes each field of the binding in turn.
func TestReportDataBindsEverything(t *testing.T) {
	base := func() wire.UnlockBinding {
		return wire.UnlockBinding{Nonce: make([]byte, wire.NonceSize), PublicKey: make([]byte, wire.PublicKeySize), BootKey: make([]byte, wire.BootKeySize)}
	}
	seen := map[[64]byte]string{base().ReportData(): "unchanged"}
	for name, change := range map[string]func(*wire.UnlockBinding){
		"nonce":      func(b *wire.UnlockBinding) { b.Nonce[63]++ },
		"public key": func(b *wire.UnlockBinding) { b.PublicKey[0]++ },
		"boot key":   func(b *wire.UnlockBinding) { b.BootKey[0]++ },
		"image":      func(b *wire.UnlockBinding) { b.Image[0]++ },
		"instance":   func(b *wire.UnlockBinding) { b.Instance[0]++ },
		"disk":       func(b *wire.UnlockBinding) { b.Disk[0]++ },
		"sealed VMK": func(b *wire.UnlockBinding) { b.SealedVMK[31]++ },
		"borders":    func(b *wire.UnlockBinding) { b.Nonce, b.PublicKey = b.Nonce[:63], append(b.PublicKey, 0) },
	} {
		b := base()
		change(&b)
		data := b.ReportData()
		if other, dup := seen[data]; dup {
			t.Errorf("%s gives the same report data as %s", name, other)
		}
		seen[data] = name
	}
}

func TestValidateSizes(t *testing.T) {
	request := func() *wire.UnlockRequest {
		return &wire.UnlockRequest{
			Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize),
			PublicKey: make([]byte, wire.PublicKeySize), BootKey: make([]byte, wire.BootKeySize), SealedVMK: make([]byte, wire.SealedVMKSize),
		}
	}
	grant := func() *wire.Grant {
		return &wire.Grant{Time: wire.MinTime, State: wire.StateNone, Enc: make([]byte, wire.EncSize), Ciphertext: make([]byte, wire.GrantSize), Signature: make([]byte, 64)}
	}
	if err := errors.Join(request().Validate(), grant().Validate(), (&wire.Challenge{Nonce: make([]byte, 64)}).Validate()); err != nil {
		t.Fatal(err)
	}
	for name, validate := range map[string]func() error{
		"report":      func() error { r := request(); r.Report = r.Report[1:]; return r.Validate() },
		"nonce":       func() error { r := request(); r.Nonce = nil; return r.Validate() },
		"public key":  func() error { r := request(); r.PublicKey = append(r.PublicKey, 0); return r.Validate() },
		"boot key":    func() error { r := request(); r.BootKey = r.BootKey[1:]; return r.Validate() },
		"sealed VMK":  func() error { r := request(); r.SealedVMK = r.SealedVMK[1:]; return r.Validate() },
		"state":       func() error { g := grant(); g.State = "old"; return g.Validate() },
		"instance":    func() error { g := grant(); g.Instance = wire.UUID{1}; return g.Validate() },
		"no instance": func() error { g := grant(); g.State = wire.StateReady; return g.Validate() },
		"generation":  func() error { g := grant(); g.Generation = 1; return g.Validate() },
		"keys":        func() error { g := grant(); g.State, g.Instance = wire.StateClaimed, wire.UUID{1}; return g.Validate() },
		"certificates": func() error {
			r := request()
			r.Certificates = make([]byte, wire.MaxCertificates+1)
			return r.Validate()
		},
		"time":       func() error { g := grant(); g.Time--; return g.Validate() },
		"far future": func() error { g := grant(); g.Time = wire.MaxTime + 1; return g.Validate() },
		"enc":        func() error { g := grant(); g.Enc = nil; return g.Validate() },
		"ciphertext": func() error { g := grant(); g.Ciphertext = g.Ciphertext[1:]; return g.Validate() },
		"signature":  func() error { g := grant(); g.Signature = g.Signature[1:]; return g.Validate() },
		"challenge":  func() error { return (&wire.Challenge{Nonce: make([]byte, 63)}).Validate() },
	} {
		if err := validate(); !errors.Is(err, wire.ErrShape) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestLargestRequestFits encodes the largest valid request.
func TestLargestRequestFits(t *testing.T) {
	body, err := json.Marshal(wire.UnlockRequest{
		Report: make([]byte, 1184), Certificates: make([]byte, wire.MaxCertificates), Nonce: make([]byte, wire.NonceSize),
		PublicKey: make([]byte, wire.PublicKeySize), BootKey: make([]byte, wire.BootKeySize), SealedVMK: make([]byte, wire.SealedVMKSize),
		Disk: wire.InstanceDisk{
			Sealed:      [][]byte{make([]byte, wire.SealedGuestSecretSize), bytes.Repeat([]byte{1}, wire.SealedGuestSecretSize)},
			Generations: []wire.Generation{{Number: wire.MaxGeneration - 1, MAC: make([]byte, 32)}, {Number: wire.MaxGeneration - 2, MAC: make([]byte, 32)}},
		},
	})
	if err != nil || len(body) > wire.MaxUnlockBody {
		t.Errorf("%d bytes, %v; the limit is %d", len(body), err, wire.MaxUnlockBody)
	}
}

const (
	wantReport     = "39efe583e5299e96e7617d3718ad01a8ba95652ab4917fdad30e0e0395ab8b32ace241939f766ea8af47c7e873819207cb738e9186ff5d7e6eb22b4ea48ea23b"
	wantReportData = "8d0b6b22c89dff6117f9b13bb920bb42116e9de6d602092e84b6c60202d2b26c" +
		"7228b52e05e7ef7fe0a297f5ebcd13214897b96e4b9ea0895f9e7048bd54a200"
	wantGrant      = "176216694a8c852fedfad6fb33ebe59436bdf1d6ab67053cf660cbb834c18a98"
	wantGrantInfo  = "2ff3b2edcce9b6003869c34f123262a7eba4debe4c541ff5e4501472e9303bbd"
	wantCommitment = "298aec4c154f45aa8d0eff6559453cd6a3ee8a1fa0c12d6cd902d43ad71ba403"
)

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
