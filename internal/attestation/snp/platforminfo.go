package snp

import (
	"fmt"
	"strings"
)

// PlatformInfo is PLATFORM_INFO of a report (56860 rev. 1.58, table
// PLATFORM_INFO Field).
type PlatformInfo uint64

// The bits of PLATFORM_INFO. Bit 6 and bits 63:8 are reserved.
const (
	PlatformSMT                PlatformInfo = 1 << 0 // SMT is enabled
	PlatformTSME               PlatformInfo = 1 << 1 // transparent SME is enabled
	PlatformECC                PlatformInfo = 1 << 2 // the memory has ECC
	PlatformRAPLDisabled       PlatformInfo = 1 << 3 // Running Average Power Limit is disabled
	PlatformCiphertextHiding   PlatformInfo = 1 << 4 // ciphertext hiding for DRAM is enabled
	PlatformAliasCheckComplete PlatformInfo = 1 << 5 // no memory aliases since the last reset
	PlatformTIO                PlatformInfo = 1 << 7 // SEV-TIO is enabled

	platformKnown = PlatformSMT | PlatformTSME | PlatformECC | PlatformRAPLDisabled | PlatformCiphertextHiding |
		PlatformAliasCheckComplete | PlatformTIO
)

// Has reports whether all of bits are set.
func (p PlatformInfo) Has(bits PlatformInfo) bool { return p&bits == bits }

// Reserved returns the bits that have no meaning known here.
func (p PlatformInfo) Reserved() PlatformInfo { return p &^ platformKnown }

// String returns the names of the bits that are set.
func (p PlatformInfo) String() string {
	var names []string
	for _, n := range []struct {
		bit  PlatformInfo
		name string
	}{
		{PlatformSMT, "smt"},
		{PlatformTSME, "tsme"},
		{PlatformECC, "ecc"},
		{PlatformRAPLDisabled, "rapl-disabled"},
		{PlatformCiphertextHiding, "ciphertext-hiding"},
		{PlatformAliasCheckComplete, "alias-check-complete"},
		{PlatformTIO, "tio"},
	} {
		if p.Has(n.bit) {
			names = append(names, n.name)
		}
	}
	if r := p.Reserved(); r != 0 {
		names = append(names, fmt.Sprintf("reserved %#x", uint64(r)))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}
