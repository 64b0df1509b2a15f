package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/simtest"
)

// simulated is a directory with a simulated AMD's certificates and what its keys
// sign.
type simulated struct {
	t        *testing.T
	dir      string
	amd      *sim.AMD
	chip     sim.Chip
	vek      *sim.VEK
	ask, ark []byte
}

const simTime = "2026-03-01T12:00:00Z"

func newSimulated(t *testing.T, amd *sim.AMD, p snp.Product) *simulated {
	t.Helper()
	at, err := time.Parse(time.RFC3339, simTime)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{t: t, dir: t.TempDir(), amd: amd.At(at), chip: sim.NewChip(p, "a", sim.RecentTCB(p))}
	if s.vek, err = s.amd.VCEK(s.chip); err != nil {
		t.Fatal(err)
	}
	s.ask, s.ark = amd.Line(p).ASK.Certificate.Raw, amd.Line(p).ARK.Certificate.Raw
	s.write("vek.der", s.vek.Certificate.Raw)
	s.write("ask.pem", toPEM(s.ask))
	s.write("ark.pem", toPEM(s.ark))
	s.write("chain.pem", append(toPEM(s.ask), toPEM(s.ark)...))
	s.write("report.bin", s.sign(nil))
	return s
}

func toPEM(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }

// write writes a file and returns its path.
func (s *simulated) write(name string, data []byte) string {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

func (s *simulated) path(name string) string { return filepath.Join(s.dir, name) }

// sign returns a report, after change.
func (s *simulated) sign(change func(*snp.Report)) []byte {
	s.t.Helper()
	r := sim.ReportTemplate(s.chip)
	if change != nil {
		change(r)
	}
	data, err := s.vek.Report(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// verify runs the command at the simulation's time and returns what it printed.
func (s *simulated) verify(want int, report string, flags ...string) verifyResult {
	s.t.Helper()
	args := append([]string{"report", "verify", s.path(report), "--time", simTime, "--json"}, flags...)
	code, stdout, stderr := runCLI(s.t, args...)
	if code != want {
		s.t.Fatalf("%q: exit code %d, want %d: %s%s", args, code, want, stdout, stderr)
	}
	var result verifyResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		s.t.Fatalf("%q: %v", stdout, err)
	}
	return result
}

// reason is verify for a report that is not genuine.
func (s *simulated) reason(report string, flags ...string) string {
	s.t.Helper()
	result := s.verify(exitNo, report, flags...)
	if result.Refusal == nil || result.Genuine {
		s.t.Fatalf("got %+v", result)
	}
	return string(result.Refusal.Reason)
}

func TestVerifyBelowTrustRoot(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Milan)
	good := []string{"--vek", s.path("vek.der"), "--ask", s.path("ask.pem"), "--ark", s.path("ark.pem")}
	// Only AMD's roots count unless another is given, and then only that.
	if got := s.reason("report.bin", good...); got != "root_not_trusted" {
		t.Errorf("without --insecure-trust-root: %s", got)
	}
	result := s.verify(exitOK, "report.bin", append(good, "--insecure-trust-root", s.path("ark.pem"))...)
	if result.Signer.AMDRoot || result.Signer.Root != "ARK-Milan" {
		t.Errorf("got signer %+v", result.Signer)
	}
	if got := s.reason("report.bin", append(good, "--insecure-trust-root", reportsPath("chains/ARK-Milan.pem"))...); got != "root_not_trusted" {
		t.Errorf("below AMD's root given as another: %s", got)
	}
	_, text, _ := runCLI(t, append([]string{"report", "verify", s.path("report.bin"), "--time", simTime, "--insecure-trust-root", s.path("ark.pem")}, good...)...)
	if !strings.Contains(text, "NOT AMD's, given by --insecure-trust-root") {
		t.Errorf("the text does not say that the root is simulated: %s", text)
	}
	genuine := []string{"report", "verify", reportsPath("milan-v3-vcek-05b7438a3d.bin"), "--vek", reportsPath("certs/vcek-milan-b67b09bfb8.der"),
		"--ask", reportsPath("chains/SEV-Milan.pem"), "--time", simTime, "--insecure-trust-root", s.path("ark.pem")}
	if code, stdout, _ := runCLI(t, genuine...); code != exitNo {
		t.Errorf("AMD's report below a simulated root: exit code %d, %s", code, stdout)
	}
}

func TestVerifySources(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Turin)
	impostor := newSimulated(t, simtest.Impostor(t), snp.Turin)
	root := []string{"--insecure-trust-root", s.path("ark.pem")}
	table := snp.CertTable{VCEK: s.vek.Certificate.Raw, ASK: toPEM(s.ask), ARK: s.ark}
	s.write("extended.bin", append(s.sign(nil), table.Bytes()...))
	forged := snp.CertTable{VCEK: impostor.vek.Certificate.Raw, ASK: impostor.ask, ARK: impostor.ark}
	s.write("foreign.bin", append(s.sign(nil), forged.Bytes()...))
	s.write("noask.bin", append(s.sign(nil), (&snp.CertTable{VCEK: table.VCEK}).Bytes()...))
	s.write("badcert.bin", append(s.sign(nil), (&snp.CertTable{VCEK: []byte("garbage")}).Bytes()...))
	flipped := s.sign(nil)
	flipped[0x50] ^= 1
	s.write("flipped.bin", append(flipped, table.Bytes()...))
	empty := t.TempDir()
	for _, tc := range []struct {
		name, report string
		flags        []string
		want         string // reason, empty when genuine
	}{
		{"chain file for ASK and ARK", "report.bin", []string{"--vek", s.path("vek.der"), "--ask", s.path("chain.pem"), "--ark", s.path("chain.pem")}, ""},
		{"directory", "report.bin", []string{"--certs", s.dir}, ""},
		{"table", "extended.bin", nil, ""},
		{"table before an empty directory", "extended.bin", []string{"--certs", empty}, ""},
		{"table before KDS", "extended.bin", []string{"--kds", "http://127.0.0.1:1"}, ""},
		{"table with another's chain, then the directory", "foreign.bin", []string{"--certs", s.dir}, ""},
		{"table without ASK, then the directory", "noask.bin", []string{"--certs", s.dir}, ""},
		{"--vek before the table", "foreign.bin", []string{"--vek", s.path("vek.der"), "--ask", s.path("ask.pem")}, ""},
		{"--ask beside the table", "noask.bin", []string{"--ask", s.path("ask.pem")}, ""},
		{"nothing", "report.bin", nil, "no_certificate"},
		{"empty directory", "report.bin", []string{"--certs", empty}, "no_certificate"},
		{"another's directory", "report.bin", []string{"--certs", impostor.dir}, "certificate_signature"},
		{"another's table", "foreign.bin", nil, "root_not_trusted"},
		{"another's table, empty directory", "foreign.bin", []string{"--certs", empty}, "root_not_trusted"},
		{"table without ASK", "noask.bin", nil, "no_certificate"},
		{"table of garbage", "badcert.bin", nil, "certificate_format"},
		{"altered report with its table", "flipped.bin", []string{"--certs", s.dir}, "signature"},
		{"altered report, KDS down", "flipped.bin", []string{"--kds", "http://127.0.0.1:1"}, "signature"},
		{"two certificates for --vek", "report.bin", []string{"--vek", s.path("chain.pem")}, "certificate_format"},
		{"report for --vek", "report.bin", []string{"--vek", s.path("report.bin")}, "certificate_format"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := slices.Concat(root, tc.flags)
			if tc.want == "" {
				s.verify(exitOK, tc.report, flags...)
				return
			}
			if got := s.reason(tc.report, flags...); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestVerifyMutated wants exit code 1 and nothing worse for files that are wrong
// in many ways.
func TestVerifyMutated(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Turin)
	flags := []string{"--insecure-trust-root", s.path("ark.pem"), "--certs", s.dir}
	report := s.sign(nil)
	table := (&snp.CertTable{VCEK: s.vek.Certificate.Raw, ASK: s.ask, ARK: s.ark}).Bytes()
	mutated := map[string][]byte{
		"empty":        {},
		"zeros":        make([]byte, snp.ReportSize),
		"ones":         bytes.Repeat([]byte{0xFF}, snp.ReportSize),
		"padded":       append(bytes.Clone(report), make([]byte, 2048)...),
		"twice":        append(bytes.Clone(report), report...),
		"huge":         append(bytes.Clone(report), bytes.Repeat(table, 40)...),
		"text":         []byte("report"),
		"table before": append(bytes.Clone(table), report...),
	}
	for _, size := range []int{1, 4, 0x2A0, len(report) - 1} {
		mutated["cut to "+string(rune('a'+size%26))] = report[:size]
	}
	for offset := 0; offset < len(report); offset += 7 {
		mutated["flipped"+string(rune(0x100+offset))] = flip(report, offset)
	}
	extended := append(bytes.Clone(report), table...)
	for offset := len(report); offset < len(report)+4*24; offset++ {
		mutated["entry"+string(rune(0x100+offset))] = flip(extended, offset)
	}
	for name, data := range mutated {
		s.write("mutated.bin", data)
		use := flags
		if strings.HasPrefix(name, "entry") {
			use = flags[:2] // the directory would mend what the table lost
		}
		code, stdout, stderr := runCLI(t, append([]string{"report", "verify", s.path("mutated.bin"), "--time", simTime}, use...)...)
		if code != exitNo || !strings.HasPrefix(stdout, "genuine     no: ") {
			// A GUID that became unknown hides the ASK or ARK; the root stands in for the ARK.
			if strings.HasPrefix(name, "entry") && code == exitOK && !bytes.Equal(table[48:72], data[len(report)+48:len(report)+72]) {
				continue
			}
			t.Errorf("%q: exit code %d: %s%s", name, code, stdout, stderr)
		}
		if code, _, _ := runCLI(t, "report", "show", s.path("mutated.bin")); code != exitNo && code != exitOK {
			t.Errorf("%q: show ends with exit code %d", name, code)
		}
	}
}

func flip(data []byte, offset int) []byte {
	out := bytes.Clone(data)
	out[offset] ^= 1 << (offset % 8)
	return out
}

func TestVerifyPolicyViolations(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Milan)
	flags := []string{"--insecure-trust-root", s.path("ark.pem"), "--certs", s.dir}
	policy := func(document string) []string {
		return slices.Concat(flags, []string{"--policy", s.write("policy.json", []byte(document))})
	}
	for _, tc := range []struct {
		name   string
		change func(*snp.Report)
		flags  []string
		want   string // the failing rule
	}{
		{"debug", func(r *snp.Report) { r.Policy |= 1 << 19 }, flags, "guest_policy.debug"},
		{"migration agent", func(r *snp.Report) { r.Policy |= 1 << 18 }, flags, "guest_policy.migration_agent"},
		{"migration agent with --allow-debug", func(r *snp.Report) { r.Policy |= 1 << 18 }, append(flags, "--allow-debug"), "guest_policy.migration_agent"},
		{"VMPL with a policy", func(r *snp.Report) { r.VMPL = 1 }, policy(`{"version": 1}`), "vmpls"},
		{"report data", nil, append(flags, "--report-data", strings.Repeat("01", 64)), "report_data"},
		{"measurement", nil, append(flags, "--measurement", strings.Repeat("01", 48)), "measurements"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.write("wrong.bin", s.sign(tc.change))
			result := s.verify(exitNo, "wrong.bin", tc.flags...)
			if !result.Genuine || len(result.Rules) == 0 || result.Rules[0].Name != tc.want || len(result.Rules.Failed()) != 1 {
				t.Errorf("got %+v, want %s to fail", result.Rules, tc.want)
			}
		})
	}
	s.write("vmpl.bin", s.sign(func(r *snp.Report) { r.VMPL = 1 }))
	s.verify(exitOK, "vmpl.bin", flags...)
	s.verify(exitOK, "report.bin", append(flags, "--report-data", strings.Repeat("00", 64), "--measurement", strings.Repeat("00", 48))...)
	s.verify(exitOK, "report.bin", append(policy(`{"version": 1, "measurements": ["`+strings.Repeat("00", 48)+`"]}`), "--measurement", strings.Repeat("00", 48))...)
}

// TestOutputIsSafe lets a terminal show a CSP ID and never obey it.
func TestOutputIsSafe(t *testing.T) {
	s := newSimulated(t, simtest.AMD(t), snp.Milan)
	vlek, err := s.amd.VLEK(snp.Milan, "\x1b]0;evil\x07\x1b[2Jok\n", s.chip.TCB)
	if err != nil {
		t.Fatal(err)
	}
	s.vek = vlek
	report := s.sign(func(r *snp.Report) { r.SigningKey, r.ChipID = snp.SignedByVLEK, [snp.ChipIDSize]byte{} })
	table := snp.CertTable{VLEK: vlek.Certificate.Raw, ASK: s.amd.Line(snp.Milan).ASVK.Certificate.Raw}
	path := s.write("evil.bin", append(report, table.Bytes()...))
	for _, args := range [][]string{
		{"report", "verify", path, "--insecure-trust-root", s.path("ark.pem"), "--time", simTime},
		{"report", "verify", path, "--insecure-trust-root", s.path("ark.pem"), "--time", simTime, "--json"},
		{"report", "verify", path, "--insecure-trust-root", s.path("ark.pem"), "--time", simTime, "--policy", s.write("csp.json", []byte(`{"version": 1, "signing_keys": ["VLEK"], "csp_ids": ["a"]}`))},
		{"report", "show", path},
	} {
		_, stdout, stderr := runCLI(t, args...)
		if strings.ContainsAny(stdout+stderr, "\x1b\x07") || !strings.Contains(stdout, "VLEK") {
			t.Errorf("%q: got %q%q", args, stdout, stderr)
		}
	}
	_, text, _ := runCLI(t, "report", "verify", path, "--insecure-trust-root", s.path("ark.pem"), "--time", simTime)
	if !strings.Contains(text, `CSP ID         "\x1b]0;evil\a\x1b[2Jok\n"`) {
		t.Errorf("the CSP ID is not quoted: %s", text)
	}
}
