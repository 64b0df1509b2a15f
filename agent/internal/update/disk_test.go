package update_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/artifacts"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/update"
)

// TestRootPartition asks the kernel which partition the root is on.
func TestRootPartition(t *testing.T) {
	root := t.TempDir()
	machine := artifacts.Machine{Sys: filepath.Join(root, "sys"), Dev: filepath.Join(root, "dev")}
	slaves := filepath.Join(machine.Sys, "class/block/dm-3/slaves")
	for _, step := range []struct {
		prepare func()
		want    string // in the error; empty: found, and then not openable here
	}{
		{func() {}, "find the root's partition: readlink"},
		{func() {
			must(t, os.MkdirAll(filepath.Join(machine.Dev, "mapper"), 0o700))
			must(t, os.Symlink("../dm-3", filepath.Join(machine.Dev, "mapper/cryptroot")))
		}, "slaves: no such file"},
		{func() { must(t, os.MkdirAll(slaves, 0o700)) }, "is on 0 devices"},
		{func() { must(t, os.WriteFile(filepath.Join(slaves, "vda2"), nil, 0o600)) }, ""},
		{func() { must(t, os.WriteFile(filepath.Join(slaves, "vdb1"), nil, 0o600)) }, "is on 2 devices"},
	} {
		step.prepare()
		_, _, err := update.OpenSlots(machine)
		found := err != nil && !strings.Contains(err.Error(), "find the root's partition")
		if err == nil || found != (step.want == "") || !strings.Contains(err.Error(), step.want) {
			t.Errorf("want %q, got %v", step.want, err)
		}
	}
}
