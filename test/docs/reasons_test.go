package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReasonsOfOperatorsRecords holds the list in docs/api.md against the constants and
// the operations of the service.
func TestReasonsOfOperatorsRecords(t *testing.T) {
	constant := regexp.MustCompile(`(?:\b[rR]eason[A-Za-z]*(?: audit\.Reason)? *= |\{(?:wire\.Role[A-Za-z]+|""), [A-Za-z]+, )"([a-z]+\.[a-z]+)"`)
	var used []string
	err := filepath.WalkDir(filepath.Join(root, "service"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range constant.FindAllStringSubmatch(string(source), -1) {
			used = append(used, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(readRoot(t, "docs/api.md"), "Reasons of operators' records:")
	list, _, _ = strings.Cut(list, "\n\n")
	if !found || len(used) == 0 {
		t.Fatal("docs/api.md has no list, or the service no reasons")
	}
	var listed []string
	for _, m := range regexp.MustCompile("`([a-z.]+)`").FindAllStringSubmatch(list, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(used)
	slices.Sort(listed)
	if !slices.Equal(used, listed) {
		t.Errorf("docs/api.md lists %q, the service has %q", listed, used)
	}
}
