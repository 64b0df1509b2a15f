package attest

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
)

// guestRules ask how the guest was launched: VMPL, guest policy, security
// version.
var guestRules = []rule{
	vmplRule(),
	forbiddenRule("guest_policy.debug", idblock.PolicyDebug, func(p *Policy) bool { return p.GuestPolicy.AllowDebug }),
	forbiddenRule("guest_policy.migration_agent", idblock.PolicyMigrateMA, func(p *Policy) bool { return p.GuestPolicy.AllowMigrationAgent }),
	policyRule("smt", idblock.PolicySMT, func(r *GuestPolicyRules) *bool { return r.SMT }),
	policyRule("single_socket", idblock.PolicySingleSocket, func(r *GuestPolicyRules) *bool { return r.SingleSocket }),
	policyRule("cxl", idblock.PolicyCXLAllow, func(r *GuestPolicyRules) *bool { return r.CXL }),
	policyRule("aes_256_xts", idblock.PolicyMemAES256XTS, func(r *GuestPolicyRules) *bool { return r.MemAES256XTS }),
	policyRule("rapl_disabled", idblock.PolicyRAPLDis, func(r *GuestPolicyRules) *bool { return r.RAPLDisabled }),
	policyRule("ciphertext_hiding", idblock.PolicyCiphertextHiding, func(r *GuestPolicyRules) *bool { return r.CiphertextHiding }),
	policyRule("page_swap_disabled", idblock.PolicyPageSwapDisable, func(r *GuestPolicyRules) *bool { return r.PageSwapDisabled }),
	{
		name:  "guest_policy.min_abi",
		set:   func(p *Policy) bool { return p.GuestPolicy.MinABI != ABIVersion{} },
		judge: judgeABI,
	},
	{
		name: "min_guest_svn",
		set:  func(p *Policy) bool { return p.MinGuestSVN > 0 },
		judge: func(v *Verified, p *Policy) finding {
			return finding{v.Report.GuestSVN >= p.MinGuestSVN, fmt.Sprint("at least ", p.MinGuestSVN), fmt.Sprint(v.Report.GuestSVN)}
		},
	},
}

// guestPolicy returns the policy that the guest was launched with.
func guestPolicy(v *Verified) idblock.GuestPolicy { return idblock.GuestPolicy(v.Report.Policy) }

// vmplRule wants VMPL 0 unless the policy names others: a report from a higher
// VMPL speaks for less privileged code than what the measurement stands for.
func vmplRule() rule {
	vmpls := listRule("vmpls", func(p *Policy) []uint32 {
		if p.VMPLs == nil {
			return []uint32{0}
		}
		return p.VMPLs
	}, func(v *Verified) uint32 { return v.Report.VMPL })
	vmpls.set = always
	return vmpls
}

// forbiddenRule wants a bit of the guest's policy clear unless the report policy
// allows it in so many words.
func forbiddenRule(name string, bit idblock.GuestPolicy, allowed func(*Policy) bool) rule {
	return rule{name, always, func(v *Verified, p *Policy) finding {
		found := guestPolicy(v).Has(bit)
		if allowed(p) {
			return finding{true, "true or false", fmt.Sprint(found)}
		}
		return finding{!found, "false", fmt.Sprint(found)}
	}}
}

func policyRule(name string, bit idblock.GuestPolicy, want func(*GuestPolicyRules) *bool) rule {
	return flagRule("guest_policy."+name,
		func(p *Policy) *bool { return want(&p.GuestPolicy) },
		func(v *Verified) bool { return guestPolicy(v).Has(bit) })
}

// judgeABI wants the guest's policy to ask for a firmware ABI that is new
// enough, so that the chip refused to launch it on an older one.
func judgeABI(v *Verified, p *Policy) finding {
	found := ABIVersion{guestPolicy(v).ABIMajor(), guestPolicy(v).ABIMinor()}
	want := p.GuestPolicy.MinABI
	ok := found.Major > want.Major || found.Major == want.Major && found.Minor >= want.Minor
	return finding{ok, "at least " + want.String(), found.String()}
}
