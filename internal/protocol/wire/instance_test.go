package wire_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Computed with Python's hmac and hashlib from docs/protocol.md.
const (
	wantVolumeKey = "434dab7d50af1437100dc2398633e4b4ff7d50965db6f339cab66ab92c9bf419" +
		"aa802b783d99ff48464c99fd6985e15c3f05f3c1a2971078105c23674b0bac27"
	wantGeneration      = "bc0d4225ede3e7f280f1c3e188847a2cb61992e5322ffce8a5cf5f1cd330b8a9"
	wantJournalKey      = "84b64b314aff2831e65b3375ac00df8b48db9f50fc57a31d61e03b22dd8101f0"
	wantJournalStartKey = "5918428eb2941e31852dd4557e6e5149ca40baaf87afeb18b29cb7b479881d4f"
	wantReceipt         = "19a0e17beba26ec053ab0958b6862633367e4b5aee25d8366210fd259fe1e42f"
	wantGuestSecretInfo = "00000018736e7067756172642f76312f67756573742d7365637265740000001001000000000000000000000000000010" +
		"0000001002000000000000000000000000000020"
)

// TestInstanceKeys pins the bytes that instances' disks depend on.
func TestInstanceKeys(t *testing.T) {
	image, instance := wire.UUID{0: 1, 15: 16}, wire.UUID{0: 2, 15: 32}
	volume, err := wire.VolumeKey(bytes.Repeat([]byte{0x3A}, 32), bytes.Repeat([]byte{0x4B}, 32), image, instance)
	if err != nil {
		t.Fatal(err)
	}
	generation, err := wire.GenerationMAC(volume, image, instance, 0x0102030405060708)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := wire.JournalKey(volume)
	if err != nil {
		t.Fatal(err)
	}
	start, err := wire.JournalStartKey(bytes.Repeat([]byte{0xF6}, wire.VMKSize))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ got, want string }{
		"volume key":        {hex.EncodeToString(volume), wantVolumeKey},
		"generation":        {hex.EncodeToString(generation[:]), wantGeneration},
		"journal key":       {hex.EncodeToString(journal), wantJournalKey},
		"journal start key": {hex.EncodeToString(start), wantJournalStartKey},
		"receipt":           {hash(wire.ReceiptTranscript(image, instance, [32]byte(bytes.Repeat([]byte{0x5C}, 32)))), wantReceipt},
		"guest secret info": {hex.EncodeToString(wire.GuestSecretInfo(image, instance)), wantGuestSecretInfo},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

// TestVolumeKeyDependsOnEverything changes each input in turn, and refuses sizes that
// HMAC would fill up with zeros.
func TestVolumeKeyDependsOnEverything(t *testing.T) {
	secret, share := make([]byte, wire.GuestSecretSize), make([]byte, wire.KeyShareSize)
	one := wire.UUID{1}
	changed := bytes.Repeat([]byte{1}, 32)
	seen := map[string]string{}
	for name, derive := range map[string]func() ([]byte, error){
		"unchanged": func() ([]byte, error) { return wire.VolumeKey(secret, share, wire.UUID{}, wire.UUID{}) },
		"secret":    func() ([]byte, error) { return wire.VolumeKey(changed, share, wire.UUID{}, wire.UUID{}) },
		"share":     func() ([]byte, error) { return wire.VolumeKey(secret, changed, wire.UUID{}, wire.UUID{}) },
		"image":     func() ([]byte, error) { return wire.VolumeKey(secret, share, one, wire.UUID{}) },
		"instance":  func() ([]byte, error) { return wire.VolumeKey(secret, share, wire.UUID{}, one) },
	} {
		key, err := derive()
		if other, dup := seen[string(key)]; err != nil || dup || len(key) != wire.VMKSize {
			t.Errorf("%s: %d bytes, the same as %q, %v", name, len(key), other, err)
		}
		seen[string(key)] = name
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := wire.VolumeKey(make([]byte, n), share, one, one); err == nil {
			t.Errorf("secret of %d bytes", n)
		}
		if _, err := wire.VolumeKey(secret, make([]byte, n), one, one); err == nil {
			t.Errorf("share of %d bytes", n)
		}
	}
	if _, err := wire.GenerationMAC(secret, one, one, 1); err == nil {
		t.Error("a code with half of a volume key")
	}
}
