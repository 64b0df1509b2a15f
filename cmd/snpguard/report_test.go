package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
)

// runCLI runs one command line in this process.
func runCLI(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

// reportsPath returns the path of a file below testdata/reports.
func reportsPath(name string) string { return filepath.Join(vectors.Dir(), "reports", name) }

// TestVerifyRealReports runs the command on every report of the vectors.
func TestVerifyRealReports(t *testing.T) {
	var index struct {
		Reports []struct {
			File        string   `json:"file"`
			Endorsement []string `json:"endorsement"`
			Chain       []string `json:"chain"`
			Valid       bool     `json:"valid"`
			Debug       bool     `json:"policy_debug"`
		} `json:"reports"`
		Certs []struct {
			File      string `json:"file"`
			NotBefore string `json:"not_before"`
		} `json:"certs"`
	}
	vectors.ReadJSON(t, "reports/index.json", &index)
	times := make(map[string]string)
	for _, c := range index.Certs {
		times[c.File] = strings.Replace(c.NotBefore, " ", "T", 1) + "Z"
	}
	for _, r := range index.Reports {
		t.Run(r.File, func(t *testing.T) {
			if !r.Valid {
				code, stdout, _ := runCLI(t, "report", "verify", reportsPath(r.File), "--certs", reportsPath("."), "--json")
				checkRefused(t, code, stdout)
				return
			}
			for _, cert := range r.Endorsement {
				args := []string{"report", "verify", reportsPath(r.File), "--time", times[cert],
					"--vek", reportsPath(cert), "--ask", reportsPath(r.Chain[0]), "--ark", reportsPath(r.Chain[1])}
				want := exitOK
				if r.Debug {
					want = exitNo
				}
				if code, stdout, stderr := runCLI(t, args...); code != want {
					t.Errorf("exit code %d, want %d: %s%s", code, want, stdout, stderr)
				}
				if code, stdout, stderr := runCLI(t, append(args, "--allow-debug")...); code != exitOK {
					t.Errorf("exit code %d, want 0: %s%s", code, stdout, stderr)
				}
			}
		})
	}
}

// checkRefused wants the answer that a report is not genuine, with a reason.
func checkRefused(t *testing.T, code int, stdout string) {
	t.Helper()
	var result verifyResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	if code != exitNo || result.Genuine || result.Acceptable || result.Refusal == nil || result.Rules != nil || result.Signer != nil {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// TestShowRealReports wants every field in both kinds of output.
func TestShowRealReports(t *testing.T) {
	for _, file := range []string{"milan-v2-vlek-affb92f91b.bin", "genoa-v3-vcek-227a641db2.bin", "turin-v5-vcek-85da705e19.bin"} {
		code, stdout, _ := runCLI(t, "report", "show", reportsPath(file), "--json")
		var fields map[string]any
		if err := json.Unmarshal([]byte(stdout), &fields); err != nil || code != exitOK {
			t.Fatalf("%s: exit code %d, %v", file, code, err)
		}
		_, text, _ := runCLI(t, "report", "show", reportsPath(file))
		for name := range fields {
			if name != "certificates" && !strings.Contains("\n"+text, "\n"+name+" ") {
				t.Errorf("%s: the text has no %s", file, name)
			}
		}
		lines := strings.Count(text, "\n")
		if want := map[string]int{"milan-v2-vlek-affb92f91b.bin": 27, "genoa-v3-vcek-227a641db2.bin": 28, "turin-v5-vcek-85da705e19.bin": 30}[file]; lines != want || len(fields) != want+1 {
			t.Errorf("%s: %d lines, %d JSON fields, want %d", file, lines, len(fields), want)
		}
	}
}
