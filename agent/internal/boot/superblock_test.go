package boot

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const uuid = "01234567-89ab-cdef-0123-456789abcdef"

// build is a file system's first bytes: magic and UUID where the formats'
// documents have them.
func build(kind string) []byte {
	b := make([]byte, 128<<10)
	id := []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	switch kind {
	case "ext4":
		copy(b[1080:], "\x53\xef")
		copy(b[1128:], id)
	case "xfs":
		copy(b, "XFSB")
		copy(b[32:], id)
	case "btrfs":
		copy(b[65600:], "_BHRfS_M")
		copy(b[65568:], id)
	}
	return b
}

func TestSuperblock(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		b := build(kind)
		if err := checkSuperblock(bytes.NewReader(b), kind, uuid); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := checkSuperblock(bytes.NewReader(b), kind, "11234567-89ab-cdef-0123-456789abcdef"); !errors.Is(err, errMismatch) {
			t.Errorf("%s with another UUID: %v", kind, err)
		}
		for _, other := range []string{"ext4", "xfs", "btrfs", "vfat"} {
			if err := checkSuperblock(bytes.NewReader(b), other, uuid); other != kind && !errors.Is(err, errMismatch) {
				t.Errorf("%s as %s: %v", kind, other, err)
			}
		}
		if err := checkSuperblock(bytes.NewReader(b[:1080]), kind, uuid); err == nil && kind != "xfs" {
			t.Errorf("%s cut short was taken", kind)
		}
		if err := checkSuperblock(bytes.NewReader(make([]byte, 128<<10)), kind, uuid); !errors.Is(err, errMismatch) {
			t.Errorf("zeros as %s: %v", kind, err)
		}
	}
}

func TestRealExt4(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fs")
	out, err := exec.CommandContext(t.Context(), "mke2fs", "-q", "-t", "ext4", "-U", uuid, path, "4M").CombinedOutput()
	if err != nil {
		t.Fatalf("mke2fs (package e2fsprogs): %v %s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := checkSuperblock(f, "ext4", uuid); err != nil {
		t.Error(err)
	}
}

func FuzzSuperblock(f *testing.F) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		f.Add(build(kind)[:66<<10])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		taken := 0
		for _, kind := range []string{"ext4", "xfs", "btrfs"} {
			if checkSuperblock(bytes.NewReader(b), kind, uuid) == nil {
				taken++
			}
		}
		if taken > 0 && len(b) < 48 {
			t.Error("taken without room for a UUID")
		}
	})
}
