//go:build e2e

package guestfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/guestfs"
)

// TestGuest changes and reads an xfs and a btrfs file system.
func TestGuest(t *testing.T) {
	for program, brought := range map[string]string{"guestfish": "libguestfs-tools", "mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v; install the package %s", err, brought)
		}
	}
	for kind, mkfs := range map[rootfs.Type]string{rootfs.XFS: "mkfs.xfs", rootfs.Btrfs: "mkfs.btrfs"} {
		t.Run(string(kind), func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "fs.img")
			if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 320<<20)); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), mkfs, "-q", "-L", "label", image).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			testGuest(t, image, kind)
		})
	}
}

func testGuest(t *testing.T, image string, kind rootfs.Type) {
	t.Helper()
	modified := time.Unix(1_600_000_000, 123_000_000)
	odd := "-odd \"name\" <12> \xff\n#"
	changes := []rootfs.Change{
		{Kind: rootfs.WriteFile, Path: "/etc/fstab", Mode: 0o640, UID: 70001, GID: 5, ModTime: modified, Content: []byte("new\n"), Xattrs: map[string][]byte{"user.a": []byte("value")}},
		{Kind: rootfs.WriteFile, Path: "odd/" + odd, Mode: 0o600, Content: []byte("odd")},
		{Kind: rootfs.MakeDir, Path: "usr/lib/snpguard", Mode: 0o750, GID: 7, ModTime: modified},
		{Kind: rootfs.Symlink, Path: "lib", Target: "/usr/lib", UID: 9},
		{Kind: rootfs.WriteFile, Path: "lib/snpguard/agent", Mode: 0o755, Source: "guestfs_test.go"},
		{Kind: rootfs.HardLink, Path: "agent", Target: "usr/lib/snpguard/agent"},
		{Kind: rootfs.MakeNode, Path: "dev/null", Mode: rootfs.ModeChar | 0o666, Major: 1, Minor: 3},
		{Kind: rootfs.WriteFile, Path: "gone/a"},
		{Kind: rootfs.Remove, Path: "gone"},
		{Kind: rootfs.Remove, Path: "never/there"},
	}
	if err := guestfs.Apply(t.Context(), image, "", changes); err != nil {
		t.Fatal(err)
	}
	volume, err := guestfs.Open(t.Context(), image, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := volume.Close(); err != nil {
			t.Error(err)
		}
	}()
	if volume.Type() != kind || volume.Label() != "label" || len(volume.UUID()) != 36 {
		t.Errorf("%s, label %q, UUID %s", volume.Type(), volume.Label(), volume.UUID())
	}
	agent, err := os.ReadFile("guestfs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"etc/fstab": "new\n", "odd/" + odd: "odd", "agent": string(agent), "lib/snpguard/agent": string(agent)} {
		if data, err := fs.ReadFile(volume, name); err != nil || string(data) != want {
			t.Errorf("%q: %q, %v", name, data, err)
		}
	}
	for name, want := range map[string]string{
		"etc/fstab": "100640 70001:5 1", "usr/lib/snpguard": "40750 0:7", "lib": "120777 9:0 1", "agent": "100755 0:0 2", "dev/null": "20666 0:0 1",
	} {
		found, err := volume.Lstat(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := found.Sys().(*rootfs.Stat)
		got := fmt.Sprintf("%o %d:%d", s.Mode, s.UID, s.GID)
		if !found.IsDir() {
			got += fmt.Sprintf(" %d", s.Links)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if name == "etc/fstab" && !s.Mtime.Equal(modified) || name == "dev/null" && (s.Major != 1 || s.Minor != 3) {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if xattrs, err := volume.Xattrs("etc/fstab"); err != nil || string(xattrs["user.a"]) != "value" {
		t.Errorf("attributes: %q, %v", xattrs, err)
	}
	if target, err := volume.ReadLink("lib"); err != nil || target != "/usr/lib" {
		t.Errorf("lib: %q, %v", target, err)
	}
	if list, err := volume.ReadDir("odd"); err != nil || len(list) != 1 || list[0].Name() != odd {
		t.Errorf("odd: %v, %v", list, err)
	}
	for _, name := range []string{"gone", "missing"} {
		if _, err := volume.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
