package attest

import (
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// tcbRules hold the TCB versions against the floors of the product line.
var tcbRules = []rule{
	floorRule("tcb_floors.reported", func(f ProductFloors) *snp.TCB { return f.Reported }, func(v *Verified) snp.TCB { return v.ReportedTCB }),
	floorRule("tcb_floors.committed", func(f ProductFloors) *snp.TCB { return f.Committed }, func(v *Verified) snp.TCB { return v.CommittedTCB }),
	floorRule("tcb_floors.launch", func(f ProductFloors) *snp.TCB { return f.Launch }, func(v *Verified) snp.TCB { return v.LaunchTCB }),
}

// floorRule applies as soon as any product line has the floor: chips of a line
// that the policy forgot must not get past it.
func floorRule(name string, floor func(ProductFloors) *snp.TCB, found func(*Verified) snp.TCB) rule {
	return rule{
		name: name,
		set: func(p *Policy) bool {
			floors := p.floors()
			for _, product := range snp.Products() {
				if floor(floors.of(product)) != nil {
					return true
				}
			}
			return false
		},
		judge: func(v *Verified, p *Policy) finding {
			want, got := floor(p.floors().of(v.Product)), found(v)
			if want == nil {
				return finding{false, fmt.Sprintf("a floor for %s in the policy", v.Product), got.String()}
			}
			return finding{got.AtLeast(*want), "at least " + want.String(), got.String() + tooLow(got, *want)}
		},
	}
}

// tooLow names the components that are below the floor.
func tooLow(got, floor snp.TCB) string {
	var names []string
	for _, c := range []struct {
		name       string
		got, floor uint8
	}{
		{"fmc", got.FMC, floor.FMC},
		{"bootloader", got.BootLoader, floor.BootLoader},
		{"tee", got.TEE, floor.TEE},
		{"snp", got.SNP, floor.SNP},
		{"microcode", got.Microcode, floor.Microcode},
	} {
		if c.got < c.floor {
			names = append(names, c.name)
		}
	}
	if names == nil {
		return ""
	}
	return " (too low: " + strings.Join(names, ", ") + ")"
}
