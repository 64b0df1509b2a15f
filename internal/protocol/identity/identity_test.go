package identity_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
)

// smallOrder returns the canonical encodings of the eight points whose order
// divides the cofactor of the curve.
func smallOrder(tb testing.TB) [][]byte {
	tb.Helper()
	var points [][]byte
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", // order 1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"0000000000000000000000000000000000000000000000000000000000000080", // order 4
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", // order 8
	} {
		point, err := hex.DecodeString(text)
		if err != nil {
			tb.Fatal(err)
		}
		points = append(points, point)
	}
	return points
}

// forge signs one of 64 messages under a key without its private half: S is zero,
// and a small point is the R that fits, for one message in eight with each.
func forge(tb testing.TB, key ed25519.PublicKey) bool {
	tb.Helper()
	for n := range byte(64) {
		for _, r := range smallOrder(tb) {
			if ed25519.Verify(key, []byte{n}, append(bytes.Clone(r), make([]byte, 32)...)) {
				return true
			}
		}
	}
	return false
}

// TestForgedSignatures signs under every point of small order, which crypto/ed25519
// takes, and wants none of them to be an identity key.
func TestForgedSignatures(t *testing.T) {
	for _, key := range smallOrder(t) {
		if !forge(t, key) {
			t.Errorf("%x: nothing was forged, so this test shows nothing", key)
		}
		if _, err := identity.Parse(key); !errors.Is(err, identity.ErrKey) || !strings.Contains(err.Error(), "small order") {
			t.Errorf("%x: got %v", key, err)
		}
	}
}

// TestSecondEncodings gives keys whose y is 2^255-19 or more, or whose x is minus
// zero: other bytes for the same key.
func TestSecondEncodings(t *testing.T) {
	for _, text := range []string{
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p is 0
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p + 1 is 1
		"0100000000000000000000000000000000000000000000000000000000000080", // x = -0
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", // x = -0
		"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p + 3 is 3, of large order
	} {
		key, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Parse(key); !errors.Is(err, identity.ErrKey) || !strings.Contains(err.Error(), "RFC 8032") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestParse(t *testing.T) {
	good := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	key, err := identity.Parse(good)
	if err != nil || !key.Equal(good) {
		t.Fatalf("got %x, %v", key, err)
	}
	if key[0]++; key.Equal(good) {
		t.Error("the key shares memory with what was read")
	}
	for name, tc := range map[string]struct {
		raw  []byte
		want string
	}{
		"none":         {nil, "0 bytes"},
		"short":        {good[:31], "31 bytes"},
		"long":         {append(bytes.Clone(good), 0), "33 bytes"},
		"no point":     {append([]byte{2}, make([]byte, 31)...), "not a point"},
		"private half": {ed25519.NewKeyFromSeed(make([]byte, 32)), "64 bytes"},
	} {
		if _, err := identity.Parse(tc.raw); !errors.Is(err, identity.ErrKey) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzParse wants keys that were taken to come back as the same bytes, and nobody
// to sign under them.
func FuzzParse(f *testing.F) {
	for _, key := range smallOrder(f) {
		f.Add(key)
	}
	f.Add([]byte(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := identity.Parse(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(key, raw) || forge(t, key) {
			t.Errorf("%x was taken as %x", raw, key)
		}
	})
}
