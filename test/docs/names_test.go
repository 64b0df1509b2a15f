// Package docs keeps the documentation true to the tests that it names.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository.
const root = "../.."

// readAll returns the text of every file of the repository with this end.
func readAll(t *testing.T, suffix string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		data, err := os.ReadFile(path)
		texts[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// TestNamedTestsExist wants every test that the documentation names to exist: its
// function, and the name of its case behind a slash.
func TestNamedTestsExist(t *testing.T) {
	functions := map[string]string{} // the text of the file by the function's name
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(\w+ \*testing\.`)
	for _, text := range readAll(t, "_test.go") {
		for _, found := range function.FindAllStringSubmatch(text, -1) {
			functions[found[1]] += text
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)(?:/([^`]+))?`")
	for path, text := range readAll(t, ".md") {
		for _, name := range named.FindAllStringSubmatch(text, -1) {
			file, found := functions[name[1]]
			if !found || name[2] != "" && !strings.Contains(file, `"`+name[2]+`"`) {
				t.Errorf("%s names %s, which does not exist", filepath.Base(path), name[0])
			}
		}
	}
}

// TestEveryAttackHasATest wants a test in each line of the tables of attacks.
func TestEveryAttackHasATest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	attacks := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| attack |") {
			continue
		}
		attacks++
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || !regexp.MustCompile("^`(Test|Fuzz)").MatchString(cells[2]) {
			t.Errorf("no test in %q", line)
		}
	}
	if attacks == 0 {
		t.Errorf("only %d attacks", attacks)
	}
}

// TestFuzzTargetsAreListed wants every fuzz target in the table of what enters.
func TestFuzzTargetsAreListed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	target, targets := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`), 0
	for path, text := range readAll(t, "_test.go") {
		for _, found := range target.FindAllStringSubmatch(text, -1) {
			targets++
			if !strings.Contains(string(page), "`"+found[1]+"`") {
				t.Errorf("docs/architecture.md has no line for %s of %s", found[1], path)
			}
		}
	}
	if targets == 0 {
		t.Error("there is no fuzz target")
	}
}
