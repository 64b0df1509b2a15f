package sim

import (
	"crypto/sha512"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Chip is a simulated chip with its current TCB.
type Chip struct {
	Product snp.Product
	ID      [snp.ChipIDSize]byte // CHIP_ID; on Turin all but 8 bytes are zero
	TCB     snp.TCB
}

// NewChip returns the chip of a product line that a name stands for: the same
// name always gives the same chip ID.
func NewChip(p snp.Product, name string, tcb snp.TCB) Chip {
	digest := sha512.Sum512([]byte("simulated chip " + name))
	c := Chip{Product: p, TCB: tcb}
	copy(c.ID[:], digest[:p.HardwareIDSize()])
	return c
}

// RecentTCB returns a TCB version of the product line that was deployed in 2026.
func RecentTCB(p snp.Product) snp.TCB {
	switch p {
	case snp.Genoa:
		return snp.TCB{BootLoader: 10, SNP: 27, Microcode: 86}
	case snp.Turin:
		return snp.TCB{FMC: 1, BootLoader: 3, TEE: 2, SNP: 5, Microcode: 97}
	}
	return snp.TCB{BootLoader: 4, SNP: 24, Microcode: 219}
}

// HardwareID returns the part of the chip ID that certificates and KDS use.
func (c Chip) HardwareID() []byte { return c.ID[:c.Product.HardwareIDSize()] }

// CPUID returns the family, model and stepping of a chip of the product line.
func CPUID(p snp.Product) snp.CPUID {
	switch p {
	case snp.Genoa:
		return snp.CPUID{Family: 0x19, Model: 0x11, Stepping: 0x01}
	case snp.Turin:
		return snp.CPUID{Family: 0x1A, Model: 0x02, Stepping: 0x01}
	}
	return snp.CPUID{Family: 0x19, Model: 0x01, Stepping: 0x01}
}

// productName returns the PRODUCT_NAME of certificates (57230 rev. 1.00, table 8).
// Those of AMD's newer certificates have no stepping.
func productName(p snp.Product) string {
	if p == snp.Milan {
		return "Milan-B0"
	}
	return string(p)
}
