package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources returns the text of all Go files below a directory that are no tests.
func sources(t *testing.T, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for path, text := range readAll(t, ".go") {
		for _, dir := range dirs {
			if strings.HasPrefix(path, filepath.Join(root, dir)) && !strings.HasSuffix(path, "_test.go") {
				all.WriteString(text)
			}
		}
	}
	return all.String()
}

// notOurs reports whether a message is the kernel's or Go's.
func notOurs(message string) bool {
	for _, start := range []string{"dial tcp", "connection refused", "i/o timeout", "no route to host", "no such device", "x509", "certificate signed by", "certificate is valid for"} {
		if strings.HasPrefix(message, start) {
			return true
		}
	}
	return false
}

// TestTroublesAreReal looks for the lines of docs/troubleshooting.md in the agent,
// and for the reasons of denials in the service: who searches the page for what
// the console says has to find it.
func TestTroublesAreReal(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ := strings.Cut(string(page), "\n## Steps of the agent\n")
	steps, rest, _ := strings.Cut(steps, "\n## Denials\n")
	denials, _, _ := strings.Cut(rest, "\n## ")
	agent, service := sources(t, "agent", "internal"), sources(t, "service/internal/audit", "internal/attestation/attest")
	code := regexp.MustCompile("`([^`]+)`")
	checked := 0
	for line := range strings.Lines(steps) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, message := range code.FindAllStringSubmatch(strings.Split(line, " | ")[0], -1) {
			// What stands between variable parts is written in the source as it is.
			for part := range strings.SplitSeq(regexp.MustCompile(`\.\.\.|[(" ]*\b(?:[A-Z]+|NN-NAME|ethN)\b[)" ]*|: |[()]`).ReplaceAllString(message[1], "\x00"), "\x00") {
				part = strings.Trim(part, " :")
				if part == "" {
					continue
				}
				if checked++; !strings.Contains(agent, part) && !notOurs(part) {
					t.Errorf("%s: the agent never says %q", message[0], part)
				}
			}
		}
	}
	for line := range strings.Lines(denials) {
		if strings.HasPrefix(line, "| `") {
			for _, reason := range code.FindAllStringSubmatch(strings.Split(line, " | ")[0], -1) {
				if checked++; !strings.Contains(service, `"`+reason[1]+`"`) {
					t.Errorf("no denial has the reason %s", reason[1])
				}
			}
		}
	}
	if checked == 0 {
		t.Errorf("only %d messages found", checked)
	}
}
