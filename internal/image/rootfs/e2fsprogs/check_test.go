package e2fsprogs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

func TestCheckFindsDamage(t *testing.T) {
	image := rootfstest.Make(t, 16, smallTree(t), "-t", "ext4")
	if err := e2fsprogs.Check(t.Context(), image, 0); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, image, "sif /etc/hosts links_count 7")
	if err := e2fsprogs.Check(t.Context(), image, 0); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a wrong link count: %v", err)
	}
}

func TestRecover(t *testing.T) {
	image := rootfstest.Make(t, 32, smallTree(t), "-t", "ext4", "-b", "1024")
	data := filepath.Join(t.TempDir(), "block")
	if err := os.WriteFile(data, append([]byte("HOSTS"), make([]byte, 1019)...), 0o600); err != nil {
		t.Fatal(err)
	}
	number := firstBlock(t, image, "/etc/hosts")
	rootfstest.Debugfs(t, image, "journal_open", "journal_write -b "+number+" "+data, "journal_close")
	if !rootfstest.Open(t, image).NeedsRecovery() || read(t, rootfstest.Open(t, image), "etc/hosts") != "hosts" {
		t.Fatal("the image needs no recovery")
	}
	for r, err := range rootfstest.Open(t, image).Used() {
		if err != nil || r != (rootfs.Range{Length: 32 << 20}) {
			t.Errorf("used before recovery: %+v, %v", r, err)
		}
	}
	err := e2fsprogs.Apply(t.Context(), image, 0, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a"}})
	if !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a change before recovery: %v", err)
	}
	for range 2 {
		if err := e2fsprogs.Recover(t.Context(), image, 0); err != nil {
			t.Fatal(err)
		}
	}
	if rootfstest.Open(t, image).NeedsRecovery() || read(t, rootfstest.Open(t, image), "etc/hosts") != "HOSTS" {
		t.Error("the journal was not replayed")
	}
	if err := e2fsprogs.Check(t.Context(), image, 0); err != nil {
		t.Error(err)
	}
}

// TestSettle has what a boot mends without a question, and what it does not.
func TestSettle(t *testing.T) {
	image := rootfstest.Make(t, 32, smallTree(t), "-t", "ext4")
	rootfstest.Debugfs(t, image, "sif /etc/hosts links_count 7")
	if err := e2fsprogs.Check(t.Context(), image, 0); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("before it was settled: %v", err)
	}
	for range 2 {
		if err := e2fsprogs.Settle(t.Context(), image, 0); err != nil {
			t.Error(err)
		}
	}
	if err := e2fsprogs.Check(t.Context(), image, 0); err != nil {
		t.Error(err)
	}
	rootfstest.Debugfs(t, image, "sif / mode 0100644")
	if err := e2fsprogs.Settle(t.Context(), image, 0); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a root that is a file: %v", err)
	}
}

// TestDamageIsNotOfTheSource has changes that leave more than e2fsck mends
// without a question: the source is not blamed.
func TestDamageIsNotOfTheSource(t *testing.T) {
	image := rootfstest.Make(t, 16, smallTree(t), "-t", "ext2")
	rootfstest.Debugfs(t, image, "sif /boot/vmlinuz block[0] "+firstBlock(t, image, "/etc/hosts"))
	err := e2fsprogs.Apply(t.Context(), image, 0, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a"}})
	if err == nil || errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "settle changes") {
		t.Errorf("got %v", err)
	}
}

// firstBlock asks debugfs where a file begins.
func firstBlock(t *testing.T, image, path string) string {
	t.Helper()
	for _, line := range strings.Split(rootfstest.Run(t, "debugfs", []string{"-R", "blocks " + path, image}), "\n") {
		if number := strings.TrimSpace(line); number != "" {
			return number
		}
	}
	t.Fatal("no blocks")
	return ""
}
