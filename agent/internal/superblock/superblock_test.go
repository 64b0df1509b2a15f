package superblock

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
		copy(b[1080:], "\x53\xef\x01")
		copy(b[1028:], "\x40") // 64 blocks of 2048 bytes
		copy(b[1048:], "\x01")
		copy(b[1128:], id)
	case "xfs":
		copy(b, "XFSB\x00\x00\x08\x00")
		b[15] = 0x40
		copy(b[32:], id)
	case "btrfs":
		copy(b[65600:], "_BHRfS_M")
		b[65650] = 2
		copy(b[65568:], id)
	}
	return b
}

func TestSuperblock(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		b := build(kind)
		if err := Check(bytes.NewReader(b), kind, uuid); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := Check(bytes.NewReader(b), kind, "11234567-89ab-cdef-0123-456789abcdef"); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s with another UUID: %v", kind, err)
		}
		for _, other := range []string{"ext4", "xfs", "btrfs", "vfat"} {
			if err := Check(bytes.NewReader(b), other, uuid); other != kind && !errors.Is(err, ErrMismatch) {
				t.Errorf("%s as %s: %v", kind, other, err)
			}
		}
		if err := Check(bytes.NewReader(b[:1080]), kind, uuid); err == nil && kind != "xfs" {
			t.Errorf("%s cut short was taken", kind)
		}
		if err := Check(bytes.NewReader(make([]byte, 128<<10)), kind, uuid); !errors.Is(err, ErrMismatch) {
			t.Errorf("zeros as %s: %v", kind, err)
		}
	}
}

// TestSize finds the end where the field says it is, and nowhere outside of the device.
func TestSize(t *testing.T) {
	const size = 128 << 10
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		b := build(kind)
		if got, err := Size(bytes.NewReader(b), kind, size); err != nil || got != size {
			t.Errorf("%s: %d, %v", kind, got, err)
		}
		for name, err := range map[string]error{
			"on less":  second(Size(bytes.NewReader(b), kind, size-1)),
			"of zeros": second(Size(bytes.NewReader(make([]byte, size)), kind, size)),
			"of ones":  second(Size(bytes.NewReader(bytes.Repeat([]byte{0xFF}, size)), kind, 1<<62)),
		} {
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("%s %s: %v", kind, name, err)
			}
		}
		if _, err := Size(bytes.NewReader(nil), kind, size); err == nil {
			t.Errorf("%s of nothing", kind)
		}
	}
	if _, err := Size(bytes.NewReader(build("ext4")), "vfat", size); !errors.Is(err, ErrMismatch) {
		t.Errorf("another kind: %v", err)
	}
	large := build("ext4") // the high half counts with 64-bit block numbers alone
	large[1024+0x150] = 1
	if got, err := Size(bytes.NewReader(large), "ext4", 1<<50); err != nil || got != size {
		t.Errorf("%d, %v", got, err)
	}
	large[1024+0x60] = 0x80
	if got, err := Size(bytes.NewReader(large), "ext4", 1<<50); err != nil || got != size+1<<32*2048 {
		t.Errorf("%d, %v", got, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestClean takes an ext4 that was unmounted without errors alone.
func TestClean(t *testing.T) {
	for state, want := range map[byte]bool{0: false, 1: true, 2: false, 3: false, 4: false, 5: false} {
		b := build("ext4")
		b[1024+0x3A] = state
		if got, err := Clean(bytes.NewReader(b)); err != nil || got != want {
			t.Errorf("state %d: %v, %v", state, got, err)
		}
	}
	if _, err := Clean(bytes.NewReader(nil)); err == nil {
		t.Error("read from nothing")
	}
}

// TestReal reads what the programs of each file system make.
func TestReal(t *testing.T) {
	for kind, tc := range map[string]struct {
		size    int64
		program []string
	}{
		"ext4":  {4 << 20, []string{"mke2fs", "-q", "-t", "ext4", "-U", uuid}},
		"xfs":   {320 << 20, []string{"mkfs.xfs", "-q", "-m", "uuid=" + uuid}},
		"btrfs": {128 << 20, []string{"mkfs.btrfs", "-q", "-U", uuid}},
	} {
		path := filepath.Join(t.TempDir(), kind)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(tc.size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), tc.program[0], append(tc.program[1:], path)...).CombinedOutput(); err != nil {
			t.Fatalf("%s (packages e2fsprogs, xfsprogs, btrfs-progs): %v %s", tc.program[0], err, out)
		}
		if err := Check(f, kind, uuid); err != nil {
			t.Error(err)
		}
		if size, err := Size(f, kind, 1<<40); err != nil || size != tc.size {
			t.Errorf("%s: %d bytes, %v", kind, size, err)
		}
		if kind != "ext4" {
			continue
		}
		if clean, err := Clean(f); err != nil || !clean {
			t.Errorf("clean: %v, %v", clean, err)
		}
	}
}

func FuzzSuperblock(f *testing.F) {
	for _, kind := range []string{"ext4", "xfs", "btrfs"} {
		f.Add(build(kind)[:66<<10])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		taken := 0
		for _, kind := range []string{"ext4", "xfs", "btrfs"} {
			if Check(bytes.NewReader(b), kind, uuid) == nil {
				taken++
			}
			if size, err := Size(bytes.NewReader(b), kind, 1<<40); err == nil && (size <= 0 || size > 1<<40) {
				t.Errorf("%s ends at %d", kind, size)
			}
		}
		if taken > 0 && len(b) < 48 {
			t.Error("taken without room for a UUID")
		}
	})
}
