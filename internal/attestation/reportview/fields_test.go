package reportview_test

import (
	"fmt"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/reportview"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// TestFields looks at what depends on the product and the version of a report.
func TestFields(t *testing.T) {
	report := sim.ReportTemplate(sim.NewChip(snp.Milan, "chip", snp.TCB{BootLoader: 4, SNP: 24, Microcode: 217}))
	for name, tc := range map[string]struct {
		change func(*snp.Report)
		field  string
		want   string
	}{
		"policy":          {func(r *snp.Report) { r.Policy = 0x30000 }, "policy", "0x30000 abi=0.0,smt"},
		"TCB":             {func(*snp.Report) {}, "reported_tcb", "04000000000018d9 fmc=0 bootloader=4 tee=0 snp=24 microcode=217"},
		"TCB not decoded": {func(r *snp.Report) { r.CPUID = &snp.CPUID{Family: 1} }, "reported_tcb", "04000000000018d9 not decoded: unknown product or reserved bits"},
		"unknown product": {func(r *snp.Report) { r.CPUID = &snp.CPUID{Family: 1} }, "cpuid", "family 0x1 model 0x0 stepping 0x0 unknown product"},
		"no CPUID":        {func(r *snp.Report) { r.CPUID = nil }, "cpuid", ""},
		"mitigations":     {func(r *snp.Report) { r.Version, r.LaunchMitVector = 5, 3 }, "launch_mit_vector", "0x3"},
		"no mitigations":  {func(r *snp.Report) { r.Version = 3 }, "launch_mit_vector", ""},
	} {
		changed := *report
		tc.change(&changed)
		got := ""
		for _, f := range reportview.Fields(&changed) {
			if f.Name == tc.field {
				got = fmt.Sprint(f.Value)
			}
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
