package idblock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrPolicy is a guest policy that the AMD-SP would refuse.
var ErrPolicy = errors.New("invalid guest policy")

// GuestPolicy is POLICY of a guest (56860 rev. 1.58, section 4.3, table "Guest
// Policy Structure"). Bits 7:0 are the minor and 15:8 the major version of the
// firmware ABI that is needed at least.
type GuestPolicy uint64

// The bits of a guest policy.
const (
	PolicySMT              GuestPolicy = 1 << 16 // SMT is allowed
	policyReservedOne      GuestPolicy = 1 << 17 // must be one
	PolicyMigrateMA        GuestPolicy = 1 << 18 // association with a migration agent is allowed
	PolicyDebug            GuestPolicy = 1 << 19 // the host may read and write the guest
	PolicySingleSocket     GuestPolicy = 1 << 20 // only one socket may run the guest
	PolicyCXLAllow         GuestPolicy = 1 << 21 // CXL devices and memory are allowed
	PolicyMemAES256XTS     GuestPolicy = 1 << 22 // memory encryption must be AES-256-XTS
	PolicyRAPLDis          GuestPolicy = 1 << 23 // Running Average Power Limit must be disabled
	PolicyCiphertextHiding GuestPolicy = 1 << 24 // ciphertext hiding for DRAM must be enabled
	PolicyPageSwapDisable  GuestPolicy = 1 << 25 // SNP_PAGE_MOVE, SNP_SWAP_OUT and SNP_SWAP_IN are disabled

	policyReservedZero GuestPolicy = 0xFFFFFFFF_FC000000 // bits 63:26, must be zero
)

// DefaultPolicy allows SMT and nothing else, on any version of the firmware.
const DefaultPolicy = policyReservedOne | PolicySMT

// policyNames are the bits that have a name, lowest first.
var policyNames = []struct {
	bit  GuestPolicy
	name string
}{
	{PolicySMT, "smt"},
	{PolicyMigrateMA, "migrate-ma"},
	{PolicyDebug, "debug"},
	{PolicySingleSocket, "single-socket"},
	{PolicyCXLAllow, "cxl-allow"},
	{PolicyMemAES256XTS, "aes-256-xts"},
	{PolicyRAPLDis, "rapl-dis"},
	{PolicyCiphertextHiding, "ciphertext-hiding"},
	{PolicyPageSwapDisable, "page-swap-disable"},
}

// Has reports whether all bits of flags are set.
func (p GuestPolicy) Has(flags GuestPolicy) bool { return p&flags == flags }

// ABIMajor returns the major version of the firmware ABI that is needed.
func (p GuestPolicy) ABIMajor() uint8 { return uint8(p >> 8) }

// ABIMinor returns the minor version of the firmware ABI that is needed.
func (p GuestPolicy) ABIMinor() uint8 { return uint8(p) }

// Validate checks the reserved bits. The error wraps ErrPolicy.
func (p GuestPolicy) Validate() error {
	if p&policyReservedOne == 0 {
		return fmt.Errorf("%w: %#x: bit 17 must be one", ErrPolicy, uint64(p))
	}
	if p&policyReservedZero != 0 {
		return fmt.Errorf("%w: %#x: bits 63:26 must be zero", ErrPolicy, uint64(p))
	}
	return nil
}

// String returns the policy by name, such as "abi=0.31,smt,single-socket", or
// as a hexadecimal number when it is not valid.
func (p GuestPolicy) String() string {
	if p.Validate() != nil {
		return fmt.Sprintf("%#x", uint64(p))
	}
	words := []string{fmt.Sprintf("abi=%d.%d", p.ABIMajor(), p.ABIMinor())}
	for _, n := range policyNames {
		if p.Has(n.bit) {
			words = append(words, n.name)
		}
	}
	return strings.Join(words, ",")
}

// ParseGuestPolicy reads a number, such as 0x30000, or what String returns: an
// ABI version (0.0 when left out) and names, separated by commas. The error
// wraps ErrPolicy.
func ParseGuestPolicy(s string) (GuestPolicy, error) {
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		p := GuestPolicy(n)
		return p, p.Validate()
	}
	p := policyReservedOne
	seen := make(map[string]bool)
	for word := range strings.SplitSeq(strings.ToLower(s), ",") {
		word = strings.TrimSpace(word)
		name, _, _ := strings.Cut(word, "=")
		bits, err := parsePolicyWord(word)
		if err != nil {
			return 0, err
		}
		if seen[name] {
			return 0, fmt.Errorf("%w: %q occurs twice", ErrPolicy, name)
		}
		seen[name] = true
		p |= bits
	}
	return p, nil
}

func parsePolicyWord(word string) (GuestPolicy, error) {
	if version, ok := strings.CutPrefix(word, "abi="); ok {
		majorText, minorText, _ := strings.Cut(version, ".")
		major, majorErr := strconv.ParseUint(majorText, 10, 8)
		minor, minorErr := strconv.ParseUint(minorText, 10, 8)
		if majorErr != nil || minorErr != nil {
			return 0, fmt.Errorf("%w: ABI version %q is not MAJOR.MINOR", ErrPolicy, version)
		}
		return GuestPolicy(major<<8 | minor), nil
	}
	var known []string
	for _, n := range policyNames {
		if n.name == word {
			return n.bit, nil
		}
		known = append(known, n.name)
	}
	return 0, fmt.Errorf("%w: unknown word %q, want a number, abi=MAJOR.MINOR, %s",
		ErrPolicy, word, strings.Join(known, ", "))
}
