package harden_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

// A host injects int 0x80 and #VC: kernels that take them are named, and so are
// those whose version does not say.
func TestKernelsThatTakeInjectedInterrupts(t *testing.T) {
	for release, want := range map[string]harden.Severity{
		"6.9.0": "", "6.9.0-1-amd64": "", "6.12.117+deb13-cloud-amd64": "", "6.10.0-rc3": harden.Warning, "7.0": "", "10.1.2": "",
		"6.6.130": "", "6.6.130-0-lts": "", "6.8.0-39-generic": "", "6.8.0-60-lowlatency": "",
		"6.8.12": harden.Critical, "6.6.129": harden.Critical, "6.6.7": harden.Critical, "6.1.170": harden.Critical, "5.19": harden.Critical,
		"6.8.0-38-generic": harden.Critical, "6.8.0-31-lowlatency": harden.Critical,
		"6.8.0-1012-aws": harden.Warning, "6.8.0-generic": harden.Warning, "6.1.0-30-cloud-amd64": harden.Warning,
		"5.14.0-427.13.1.el9_4.x86_64": harden.Warning, "6.6.0-27-openeuler": harden.Warning,
		"": harden.Warning, "6": harden.Warning, "6.9.1.2": harden.Warning, "6..9": harden.Warning, "next": harden.Warning,
		"99999999999999999999.1": harden.Warning,
	} {
		var got harden.Severity
		for _, f := range harden.Kernel(release) {
			if got = f.Severity; f.Code != harden.CodeInterrupts || f.Mended || !strings.Contains(f.Detail, "CVE-2024-25742") {
				t.Errorf("%s: %+v", release, f)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", release, got, want)
		}
	}
	if f := harden.Kernel("6.1.0\x1b[2J"); len(f) != 1 || strings.Contains(f[0].Detail, "\x1b") {
		t.Errorf("a terminal would obey %+v", f)
	}
}
