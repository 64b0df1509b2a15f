package snp

import (
	"errors"
	"fmt"
)

// Product is a product line of AMD's Key Distribution Service: chips that share
// an ARK, an ASK and a TCB layout.
type Product string

// The product lines with SEV-SNP. Siena and Bergamo belong to Genoa.
const (
	Milan Product = "Milan"
	Genoa Product = "Genoa"
	Turin Product = "Turin"
)

// Products returns every product line, oldest first.
func Products() []Product { return []Product{Milan, Genoa, Turin} }

// ParseProduct reads the name of a product line as KDS spells it.
func ParseProduct(s string) (Product, error) {
	for _, p := range Products() {
		if s == string(p) {
			return p, nil
		}
	}
	if s == "Venice" {
		return "", ErrVenice
	}
	return "", fmt.Errorf("unknown product %q, want Milan, Genoa or Turin", s)
}

// ErrVenice is a chip or certificate of Venice (family 1Ah, models from 50h on,
// Zen 6). Its TCB version has no boot loader and no microcode (56860, section
// "TCB_VERSION" of the revisions that know it), so that neither its bytes nor a
// floor for Turin mean here what they mean there.
var ErrVenice = errors.New("product line Venice is not supported: its TCB version has a layout of its own, and this program has no root of AMD's for it")

// CPUID is the family, model and stepping that a report carries since version 3
// (56860 rev. 1.58, table ATTESTATION_REPORT, 0x188 to 0x18A), with their
// extended parts already added.
type CPUID struct {
	Family, Model, Stepping uint8
}

// Product returns the product line of a chip, by its family and model: Milan
// 19h/00h-0Fh, Genoa 19h/10h-1Fh, Siena and Bergamo 19h/A0h-AFh, Turin
// 1Ah/00h-1Fh.
func (c CPUID) Product() (Product, error) {
	switch {
	case c.Family == 0x19 && c.Model <= 0x0F:
		return Milan, nil
	case c.Family == 0x19 && (c.Model>>4 == 0x1 || c.Model>>4 == 0xA):
		return Genoa, nil
	case c.Family == 0x1A && c.Model <= 0x1F:
		return Turin, nil
	case c.Family == 0x1A && c.Model >= 0x50:
		return "", fmt.Errorf("family %#x model %#x: %w", c.Family, c.Model, ErrVenice)
	}
	return "", fmt.Errorf("family %#x model %#x is not a known chip with SEV-SNP", c.Family, c.Model)
}

// HardwareIDSize returns how many bytes of CHIP_ID identify a chip of this
// product line, in its certificate and in KDS URLs: 64, on Turin 8.
func (p Product) HardwareIDSize() int {
	if p == Turin {
		return 8
	}
	return ChipIDSize
}
