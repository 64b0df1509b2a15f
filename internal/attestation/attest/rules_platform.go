package attest

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// platformRules ask about the machine: PLATFORM_INFO, firmware, mitigations.
var platformRules = []rule{
	platformRule("smt", snp.PlatformSMT, func(r *PlatformRules) *bool { return r.SMT }),
	platformRule("tsme", snp.PlatformTSME, func(r *PlatformRules) *bool { return r.TSME }),
	platformRule("ecc", snp.PlatformECC, func(r *PlatformRules) *bool { return r.ECC }),
	platformRule("rapl_disabled", snp.PlatformRAPLDisabled, func(r *PlatformRules) *bool { return r.RAPLDisabled }),
	platformRule("ciphertext_hiding", snp.PlatformCiphertextHiding, func(r *PlatformRules) *bool { return r.CiphertextHiding }),
	platformRule("alias_check_complete", snp.PlatformAliasCheckComplete, func(r *PlatformRules) *bool { return r.AliasCheckComplete }),
	platformRule("tio", snp.PlatformTIO, func(r *PlatformRules) *bool { return r.TIO }),
	{
		name: "platform.known_bits_only",
		set:  func(p *Policy) bool { return p.Platform.KnownBitsOnly },
		judge: func(v *Verified, _ *Policy) finding {
			unknown := v.Report.PlatformInfo.Reserved()
			return finding{unknown == 0, "no unknown bits", fmt.Sprintf("%#x", uint64(unknown))}
		},
	},
	{
		name:  "min_firmware",
		set:   func(p *Policy) bool { return p.MinFirmware != snp.FirmwareVersion{} },
		judge: judgeFirmware,
	},
	mitigationRule("launch_mitigations", func(p *Policy) Bits64 { return p.LaunchMitigations },
		func(r *snp.Report) uint64 { return r.LaunchMitVector }),
	mitigationRule("current_mitigations", func(p *Policy) Bits64 { return p.CurrentMitigations },
		func(r *snp.Report) uint64 { return r.CurrentMitVector }),
}

func platformRule(name string, bit snp.PlatformInfo, want func(*PlatformRules) *bool) rule {
	return flagRule("platform."+name,
		func(p *Policy) *bool { return want(&p.Platform) },
		func(v *Verified) bool { return v.Report.PlatformInfo.Has(bit) })
}

// judgeFirmware compares the version that the host committed to: the current one
// can be rolled back to it.
func judgeFirmware(v *Verified, p *Policy) finding {
	number := func(f snp.FirmwareVersion) int { return int(f.Major)<<16 | int(f.Minor)<<8 | int(f.Build) }
	found := v.Report.Committed
	return finding{number(found) >= number(p.MinFirmware), "at least " + p.MinFirmware.String(), found.String()}
}

// mitigationRule wants every bit that the policy names. Reports before version 5
// have none.
func mitigationRule(name string, want func(*Policy) Bits64, vector func(*snp.Report) uint64) rule {
	return rule{
		name: name,
		set:  func(p *Policy) bool { return want(p) != 0 },
		judge: func(v *Verified, p *Policy) finding {
			found := Bits64(vector(v.Report))
			text := found.String()
			if v.Report.Version < 5 {
				text = fmt.Sprintf("none in a version %d report", v.Report.Version)
			}
			return finding{found&want(p) == want(p), "all bits of " + want(p).String(), text}
		},
	}
}
