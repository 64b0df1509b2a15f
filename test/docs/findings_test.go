package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFindingsAreListed compares the findings that the code can make with the
// table of docs/convert.md: owners accept them by these codes.
func TestFindingsAreListed(t *testing.T) {
	page, err := os.ReadFile("../../docs/convert.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Findings\n")
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(section, -1) {
		listed[row[1]] = row[2]
	}
	if !found || len(listed) == 0 {
		t.Fatal("docs/convert.md has no table of findings")
	}
	made := map[string]bool{}
	for _, dir := range []string{"harden", "convert"} {
		files, err := filepath.Glob("../../internal/image/" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range regexp.MustCompile(`Code: +"([a-z-]+)", Severity: (?:harden\.)?([A-Z][a-z]+)|CodeInterrupts = "([a-z-]+)"()`).FindAllStringSubmatch(string(code), -1) {
				name, severity := f[1]+f[3], strings.ToLower(f[2])
				made[name] = true
				if !strings.Contains(listed[name], severity) || listed[name] == "" {
					t.Errorf("%s has %s, %s; docs/convert.md says %q", file, name, severity, listed[name])
				}
			}
		}
	}
	for name := range listed {
		if !made[name] {
			t.Errorf("docs/convert.md lists %s, which nothing finds", name)
		}
	}
}
