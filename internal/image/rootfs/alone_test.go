package rootfs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// made runs a program that makes a file system in the last of its arguments, a file of
// the given size, and returns its name.
func made(t *testing.T, size int64, program string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fs")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), program, append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return path
}

// TestAlone asks about file systems that their own programs have made.
func TestAlone(t *testing.T) {
	const small, large = 16 << 20, 320 << 20
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Truncate(other, large)); err != nil {
		t.Fatal(err)
	}
	external := made(t, small, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal")
	externalJournal(t, external)
	for name, tc := range map[string]struct {
		kind rootfs.Type
		path string
		want string // "" for one that is alone
	}{
		"ext4":                  {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-t", "ext4"), ""},
		"ext2":                  {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-t", "ext2"), ""},
		"ext4, external":        {rootfs.Ext4, external, "its journal is on another one"},
		"xfs":                   {rootfs.XFS, xfs(t, 0, 8), ""},
		"xfs, external":         {rootfs.XFS, xfs(t, 0, 0), "its log is on another one"},
		"xfs, realtime":         {rootfs.XFS, xfs(t, 1, 8), "it has a realtime device"},
		"btrfs":                 {rootfs.Btrfs, made(t, large, "mkfs.btrfs", "-q"), ""},
		"btrfs, of two devices": {rootfs.Btrfs, made(t, large, "mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single", other), "it has 2 devices"},
	} {
		f, err := os.Open(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		err = rootfs.Alone(f, tc.kind)
		if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, rootfs.ErrSeveralDevices) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := rootfs.Alone(bytes.NewReader(nil), rootfs.XFS); !errors.Is(err, io.EOF) {
		t.Errorf("no super block: %v", err)
	}
	if err := rootfs.Alone(bytes.NewReader(nil), rootfs.LUKS); err != nil {
		t.Errorf("another kind: %v", err)
	}
}

// externalJournal says in an ext4 without a journal that its journal is elsewhere:
// mke2fs does so for block devices alone.
func externalJournal(t *testing.T, path string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "debugfs", "-w", "-R", "feature has_journal", path).CombinedOutput()
	if err != nil {
		t.Fatalf("debugfs: %v\n%s", err, out)
	}
}

// xfs writes the start of a super block, with sb_rblocks and sb_logstart.
func xfs(t *testing.T, realtime, log byte) string {
	t.Helper()
	b := make([]byte, 512)
	copy(b, "XFSB")
	b[16+7], b[48+7] = realtime, log
	path := filepath.Join(t.TempDir(), "xfs")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func FuzzAlone(f *testing.F) {
	f.Add(make([]byte, 66<<10))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []rootfs.Type{rootfs.Ext4, rootfs.XFS, rootfs.Btrfs} {
			if err := rootfs.Alone(bytes.NewReader(b), kind); len(b) < 56 && err == nil {
				t.Errorf("%s: %d bytes were taken", kind, len(b))
			}
		}
	})
}
