package kds

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// ParseTCB reads the components of a TCB version by name, such as
// "bootloader=3,tee=0,snp=8,microcode=115", in any order. All of the product
// line's must be there, Turin's with fmc.
func ParseTCB(p snp.Product, s string) (snp.TCB, error) {
	var tcb snp.TCB
	missing := map[string]*uint8{
		"bootloader": &tcb.BootLoader, "tee": &tcb.TEE, "snp": &tcb.SNP, "microcode": &tcb.Microcode,
	}
	if p == snp.Turin {
		missing["fmc"] = &tcb.FMC
	}
	count := len(missing)
	for _, part := range strings.Split(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		component := missing[name]
		if component == nil {
			return snp.TCB{}, fmt.Errorf("TCB component %.40q: there twice, or none of a %s", name, p)
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 8)
		if err != nil {
			return snp.TCB{}, fmt.Errorf("TCB component %s: %.40q is not a number from 0 to 255", name, value)
		}
		*component = uint8(n)
		delete(missing, name)
	}
	if len(missing) > 0 {
		return snp.TCB{}, fmt.Errorf("TCB has %d components, want %d: %s", count-len(missing), count, componentNames(p))
	}
	return tcb, nil
}

func componentNames(p snp.Product) string {
	if p == snp.Turin {
		return "fmc, bootloader, tee, snp, microcode"
	}
	return "bootloader, tee, snp, microcode"
}

// FormatTCB writes a TCB version as ParseTCB reads it.
func FormatTCB(p snp.Product, t snp.TCB) string {
	s := fmt.Sprintf("bootloader=%d,tee=%d,snp=%d,microcode=%d", t.BootLoader, t.TEE, t.SNP, t.Microcode)
	if p == snp.Turin {
		return fmt.Sprintf("fmc=%d,%s", t.FMC, s)
	}
	return s
}

// ParseChipID reads a chip ID in hexadecimal, as long as the product line's
// hardware ID is, or of 64 bytes as a report has it.
func ParseChipID(p snp.Product, s string) ([snp.ChipIDSize]byte, error) {
	var id [snp.ChipIDSize]byte
	decoded, err := hex.DecodeString(s)
	if err != nil || len(decoded) != p.HardwareIDSize() && len(decoded) != snp.ChipIDSize {
		return id, fmt.Errorf("chip ID %.140q is not %d bytes in hexadecimal, as a %s has", s, p.HardwareIDSize(), p)
	}
	copy(id[:], decoded)
	return id, nil
}
