package idblock_test

import (
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

func TestGuestPolicyText(t *testing.T) {
	for _, tc := range []struct {
		policy idblock.GuestPolicy
		text   string
	}{
		{idblock.DefaultPolicy, "abi=0.0,smt"},
		{0x20000, "abi=0.0"},
		{0x3001f, "abi=0.31,smt"},
		{0x20137, "abi=1.55"},
		{0xb0000, "abi=0.0,smt,debug"},
		{0x3FF0000, "abi=0.0,smt,migrate-ma,debug,single-socket,cxl-allow,aes-256-xts,rapl-dis,ciphertext-hiding,page-swap-disable"},
	} {
		if got := tc.policy.String(); got != tc.text {
			t.Errorf("%#x: got %q, want %q", uint64(tc.policy), got, tc.text)
		}
		if got, err := idblock.ParseGuestPolicy(tc.text); err != nil || got != tc.policy {
			t.Errorf("%q: got %#x, %v", tc.text, uint64(got), err)
		}
	}
	for text, want := range map[string]idblock.GuestPolicy{
		"0x30000": 0x30000, "196608": 0x30000, "SMT, Debug": 0xb0000, "single-socket": 0x120000,
	} {
		if got, err := idblock.ParseGuestPolicy(text); err != nil || got != want {
			t.Errorf("%q: got %#x, %v, want %#x", text, uint64(got), err, uint64(want))
		}
	}
}

func TestGuestPolicyRefuses(t *testing.T) {
	for _, text := range []string{
		"", "0x0", "0x10000", "0x4030000", "0xffffffffffffffff", "0x1ffffffffffffffff", "smt,smt", "smt,",
		"abi", "abi=", "abi=1", "abi=256.0", "abi=1.x", "abi=1.1,abi=1.1", "abi=1.0,abi=0.2", "smt debug", "no-debug",
	} {
		if got, err := idblock.ParseGuestPolicy(text); !errors.Is(err, idblock.ErrPolicy) {
			t.Errorf("%q: got %#x, %v", text, uint64(got), err)
		}
	}
	if got := idblock.GuestPolicy(0).String(); got != "0x0" {
		t.Errorf("an invalid policy prints as %q", got)
	}
}

func TestGuestPolicyABI(t *testing.T) {
	p := idblock.GuestPolicy(0x2_01_37)
	if p.ABIMajor() != 1 || p.ABIMinor() != 55 || p.Has(idblock.PolicySMT) {
		t.Errorf("got %d.%d", p.ABIMajor(), p.ABIMinor())
	}
}
