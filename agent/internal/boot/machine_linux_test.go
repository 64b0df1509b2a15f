package boot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunningKernel asks the one that runs the test.
func TestRunningKernel(t *testing.T) {
	said, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := release(); err != nil || got != strings.TrimSpace(string(said)) {
		t.Errorf("release %q, %v", got, err)
	}
	if _, _, err := number("/dev/null"); err == nil || !strings.Contains(err.Error(), "not a block device") {
		t.Errorf("a character device: %v", err)
	}
	if _, _, err := number(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
	if err := enter(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
}
