package snp

import (
	"errors"
	"fmt"
)

// TCB is a TCB version: the security patch levels of a chip's firmware (56860
// rev. 1.58, section 2.2, table TCB_VERSION). FMC exists on Turin only.
type TCB struct {
	FMC        uint8 `json:"fmc"`
	BootLoader uint8 `json:"bootloader"`
	TEE        uint8 `json:"tee"`
	SNP        uint8 `json:"snp"`
	Microcode  uint8 `json:"microcode"`
}

// TCBSize is the size of a TCB version in bytes.
const TCBSize = 8

// errReserved is a reserved byte or bit that is not zero.
var errReserved = errors.New("reserved bits are not zero")

// tcbLayout gives the byte of each component, -1 where there is none.
type tcbLayout struct{ fmc, bootLoader, tee, snp, microcode int }

// layout returns where a product line keeps the components.
func (p Product) layout() tcbLayout {
	if p == Turin {
		return tcbLayout{fmc: 0, bootLoader: 1, tee: 2, snp: 3, microcode: 7}
	}
	return tcbLayout{fmc: -1, bootLoader: 0, tee: 1, snp: 6, microcode: 7}
}

// ParseTCB reads a TCB version in the layout of a product line. The error wraps
// ErrReserved.
func ParseTCB(p Product, raw [TCBSize]byte) (TCB, error) {
	l := p.layout()
	t := TCB{BootLoader: raw[l.bootLoader], TEE: raw[l.tee], SNP: raw[l.snp], Microcode: raw[l.microcode]}
	if l.fmc >= 0 {
		t.FMC = raw[l.fmc]
	}
	if t.Bytes(p) != raw {
		return TCB{}, fmt.Errorf("TCB version %x: %w", raw, errReserved)
	}
	return t, nil
}

// Bytes returns the TCB version in the layout of a product line.
func (t TCB) Bytes(p Product) [TCBSize]byte {
	var raw [TCBSize]byte
	l := p.layout()
	raw[l.bootLoader], raw[l.tee], raw[l.snp], raw[l.microcode] = t.BootLoader, t.TEE, t.SNP, t.Microcode
	if l.fmc >= 0 {
		raw[l.fmc] = t.FMC
	}
	return raw
}

// AtLeast reports whether every component of t is at least floor's. A TCB
// version is not a number: a high microcode level makes up for nothing.
func (t TCB) AtLeast(floor TCB) bool {
	return t.FMC >= floor.FMC && t.BootLoader >= floor.BootLoader && t.TEE >= floor.TEE &&
		t.SNP >= floor.SNP && t.Microcode >= floor.Microcode
}

// String returns the components by name.
func (t TCB) String() string {
	return fmt.Sprintf("fmc=%d bootloader=%d tee=%d snp=%d microcode=%d", t.FMC, t.BootLoader, t.TEE, t.SNP, t.Microcode)
}
