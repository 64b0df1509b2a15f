package attest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// originRules ask where a report comes from: product, key, provider and chip.
var originRules = []rule{
	{
		name: "min_report_version",
		set:  func(p *Policy) bool { return p.MinReportVersion > 0 },
		judge: func(v *Verified, p *Policy) finding {
			return finding{v.Report.Version >= p.MinReportVersion, fmt.Sprint("at least ", p.MinReportVersion), fmt.Sprint(v.Report.Version)}
		},
	},
	listRule("products", func(p *Policy) []snp.Product { return p.Products }, func(v *Verified) snp.Product { return v.Product }),
	listRule("signing_keys", (*Policy).signingKeys, func(v *Verified) string { return v.SigningKey.String() }),
	{
		name:  "csp_ids",
		set:   func(p *Policy) bool { return p.CSPIDs != nil },
		judge: judgeCSP,
	},
	{
		name:  "allowed_chips",
		set:   func(p *Policy) bool { return p.AllowedChips != nil },
		judge: func(v *Verified, p *Policy) finding { return judgeChip(v, p.AllowedChips, true) },
	},
	{
		name:  "denied_chips",
		set:   func(p *Policy) bool { return p.DeniedChips != nil },
		judge: func(v *Verified, p *Policy) finding { return judgeChip(v, p.DeniedChips, false) },
	},
}

// judgeCSP wants a VLEK of one of the providers. A VCEK is of none.
func judgeCSP(v *Verified, p *Policy) finding {
	var quoted []string
	for _, id := range p.CSPIDs {
		quoted = append(quoted, fmt.Sprintf("%q", id))
	}
	found := "none: signed by a " + v.SigningKey.String()
	if v.SigningKey == snp.SignedByVLEK {
		found = fmt.Sprintf("%q", v.CSPID)
	}
	return finding{v.SigningKey == snp.SignedByVLEK && slices.Contains(p.CSPIDs, v.CSPID), oneOf(quoted), found}
}

// judgeChip wants a chip that is on the list, or one that is not. A chip that
// does not say which it is meets neither wish.
func judgeChip(v *Verified, list []ChipID, wanted bool) finding {
	expected := oneOf(list)
	if !wanted {
		expected = "not " + expected
	}
	if v.Report.ChipID == ([snp.ChipIDSize]byte{}) {
		return finding{false, expected, "masked by the host"}
	}
	id := v.Report.ChipID[:]
	if v.Product == snp.Turin {
		id = id[:v.Product.HardwareIDSize()]
	}
	listed := slices.ContainsFunc(list, func(c ChipID) bool {
		return bytes.Equal(c, id) || bytes.Equal(c, v.Report.ChipID[:])
	})
	return finding{listed == wanted, expected, ChipID(id).String()}
}
