package status

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExecutable wants a file system of the agent's own where /run is mounted noexec,
// which lets programs run and neither devices nor set-user-ID count, and none elsewhere.
func TestExecutable(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		flags         int64
		statfs, mount error
		mounted       bool
	}{
		"programs run":      {flags: unix.MS_NODEV | unix.MS_NOSUID},
		"noexec":            {flags: unix.MS_NODEV | unix.MS_NOEXEC, mounted: true},
		"unknown":           {statfs: broken},
		"cannot be mounted": {flags: unix.MS_NOEXEC, mount: broken, mounted: true},
	} {
		dir, mounted := filepath.Join(t.TempDir(), "run/snpguard"), false
		k := kernel{
			statfs: func(path string, out *unix.Statfs_t) error {
				if path != dir {
					t.Errorf("%s: asked about %s", name, path)
				}
				out.Flags = test.flags
				return test.statfs
			},
			mount: func(_, target, kind string, flags uintptr, data string) error {
				mounted = true
				if target != dir || kind != "tmpfs" || flags != unix.MS_NODEV|unix.MS_NOSUID || !strings.Contains(data, "mode=0700") {
					t.Errorf("%s: mounts %s at %s, flags %#x, %s", name, kind, target, flags, data)
				}
				return test.mount
			},
		}
		if err := k.executable(dir); errors.Is(err, broken) != (test.statfs != nil || test.mount != nil) {
			t.Errorf("%s: got %v", name, err)
		}
		if mounted != test.mounted {
			t.Errorf("%s: mounted is %t", name, mounted)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	file := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (kernel{}).executable(filepath.Join(file, "snpguard")); err == nil {
		t.Error("a file was taken for /run")
	}
}
