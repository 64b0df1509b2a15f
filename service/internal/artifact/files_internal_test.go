package artifact

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSweepGone sweeps uploads that have ended since Sweep read their names: they
// do not count as leftovers.
func TestSweepGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upload-1")
	if gone, err := sweep(path); gone || err != nil {
		t.Errorf("got %t, %v", gone, err)
	}
	// One that took the name after the file was opened has not been locked.
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !mine(file) {
		t.Error("a file that is there is not mine")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if mine(file) {
		t.Error("a file that Sweep took is mine")
	}
}
