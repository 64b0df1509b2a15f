package status_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/status"
)

// TestNowhereToWrite is an initrd whose paths are something else. The status
// tells of nothing secret, yet a boot that cannot leave it ends: what the
// running system would read then is not known.
func TestNowhereToWrite(t *testing.T) {
	for name, path := range map[string]string{
		"order is a directory":    "scripts/init-bottom/ORDER/x",
		"run is a file":           "run",
		"status is a directory":   "run/snpguard/status.json/x",
		"snpguard is a file":      "run/snpguard",
		"scripts is a mere file":  "scripts",
		"init-bottom, file again": "scripts/init-bottom",
	} {
		root := t.TempDir()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := status.Arrange(root, example()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestUnreadable is a status that is no file, and one without an end.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	if _, err := status.Read(dir); err == nil {
		t.Error("read a directory")
	}
	if _, err := status.Read(filepath.Join(dir, strings.Repeat("n", 300))); err == nil {
		t.Error("read a file that cannot be")
	}
	endless := filepath.Join(dir, "endless")
	if err := os.WriteFile(endless, []byte(`{"format": 1, "agent": "`+strings.Repeat("x", 2<<20)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := status.Read(endless); err == nil {
		t.Error("read more than a megabyte")
	}
}
