package launch

import (
	"errors"

	"github.com/klauspost/cpuid/v2"
)

// Encryption is how memory encryption shows in physical addresses.
type Encryption struct {
	CBitPos         uint32 // bit that marks encrypted pages
	ReducedPhysBits uint32 // bits of physical addresses that a guest loses
}

// guestReducedPhysBits is what a guest loses: the C-bit. CPUID Fn8000_001F_EBX
// bits 11:6 say what the host loses, which is more.
const guestReducedPhysBits = 1

// DefaultEncryption is right for Milan, Genoa and Turin.
func DefaultEncryption() Encryption {
	return Encryption{CBitPos: 51, ReducedPhysBits: guestReducedPhysBits}
}

// errNoEncryption is a processor that does not encrypt memory.
var errNoEncryption = errors.New("this processor does not say where its C-bit is (CPUID Fn8000_001F)")

// HostEncryption asks the processor: the C-bit is in bits 5:0 of CPUID
// Fn8000_001F_EBX (AMD publication 24594, appendix E).
func HostEncryption() (Encryption, error) {
	e := cpuid.CPU.AMDMemEncryption
	if !e.Available || e.CBitPossition == 0 {
		return Encryption{}, errNoEncryption
	}
	return Encryption{CBitPos: e.CBitPossition, ReducedPhysBits: guestReducedPhysBits}, nil
}
