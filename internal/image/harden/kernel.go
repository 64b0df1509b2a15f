package harden

import (
	"fmt"
	"strconv"
	"strings"
)

// CodeInterrupts is the finding about kernels that take interrupts which a host
// injects.
const CodeInterrupts = "injected-interrupts"

// Kernel says whether a kernel, named as uname -r prints it, refuses what hosts
// inject to take over a guest: int 0x80 as a system call (Heckler,
// CVE-2024-25744) and #VC with another instruction behind it (WeSee,
// CVE-2024-25742).
//
// Upstream both are refused from 6.9 on (commits b82a8dbd3d2f, 55617fb991df and
// e3ef461af35a), and in the stable series 6.6 from 6.6.130 on, whose announcement
// of 25 March 2026 lists the last of them. Ubuntu has them in 6.8.0-39 (USN-6921-1
// and -2). Other distributions mend older kernels without another version number.
func Kernel(release string) []Finding {
	verdict := judgeKernel(release)
	if verdict == refuses {
		return nil
	}
	f := Finding{Code: CodeInterrupts, Severity: Warning, Path: "", Detail: fmt.Sprintf(
		"Linux %s is older than 6.9, and its version does not say whether it refuses the interrupts by which a host gets in (CVE-2024-25742, CVE-2024-25744): ask its distributor",
		printable(release))}
	if verdict == takes {
		f.Severity = Critical
		f.Detail = fmt.Sprintf("Linux %s takes the interrupts by which a host gets in (CVE-2024-25742, CVE-2024-25744): boot 6.9 or later", printable(release))
	}
	return []Finding{f}
}

// Menu returns a finding for each command of a boot menu that is not followed, as
// bootentry names them: in printable words.
func Menu(source string, doubts []string) (all []Finding) {
	for _, what := range doubts {
		all = append(all, Finding{Code: "boot-menu-unread", Severity: Warning, Path: source, Detail: fmt.Sprintf(
			"the boot menu has %s, which is not followed, so the source may boot another entry than the one that is taken", what)})
	}
	return all
}

// kernelVerdict is what a version says.
type kernelVerdict int

const (
	unknown kernelVerdict = iota
	refuses
	takes
)

func judgeKernel(release string) kernelVerdict {
	version, suffix := release, ""
	if end := strings.IndexFunc(release, func(c rune) bool { return c != '.' && (c < '0' || c > '9') }); end >= 0 {
		version, suffix = release[:end], release[end:]
	}
	parts := strings.Split(version, ".")
	var n [3]int
	for i, part := range parts {
		v, err := strconv.Atoi(part)
		if err != nil || i == len(n) {
			return unknown
		}
		n[i] = v
	}
	switch {
	case len(parts) < 2:
		return unknown
	case !strings.HasPrefix(suffix, "-rc") && (n[0] > 6 || n[0] == 6 && n[1] >= 9),
		n[0] == 6 && n[1] == 6 && n[2] >= 130:
		return refuses
	case n == [3]int{6, 8, 0} && suffix != "":
		return judgeUbuntu(suffix)
	case suffix == "":
		return takes // kernel.org's own
	}
	return unknown
}

// judgeUbuntu judges by the ABI number of Ubuntu's 6.8.0, as in -60-generic. Other
// flavours number themselves.
func judgeUbuntu(suffix string) kernelVerdict {
	abi, flavour, _ := strings.Cut(strings.TrimPrefix(suffix, "-"), "-")
	n, err := strconv.Atoi(abi)
	switch {
	case err != nil || flavour != "generic" && flavour != "lowlatency":
		return unknown
	case n >= 39:
		return refuses
	}
	return takes
}
