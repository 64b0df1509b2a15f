// Package tool finds the programs of other people that tests run as second
// opinions.
package tool

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Path returns the path of a program. Debian keeps programs that change disks off
// the path of users. A test whose program is missing fails, and says what brings it.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	tb.Fatalf("%s is not installed: run \"make deps\"", name)
	return ""
}
