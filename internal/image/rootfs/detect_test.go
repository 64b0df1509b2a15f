package rootfs_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    int
		magic string
		want  rootfs.Type
	}{
		{"ext4", 1080, "\x53\xef", rootfs.Ext4},
		{"xfs", 0, "XFSB", rootfs.XFS},
		{"btrfs", 65600, "_BHRfS_M", rootfs.Btrfs},
		{"luks", 0, "LUKS\xba\xbe\x00\x02", rootfs.LUKS},
		{"lvm", 512 + 24, "LVM2 001", rootfs.LVM},
		{"raid", 4096, "\xfc\x4e\x2b\xa9", rootfs.RAID},
		{"swap of 4 KiB pages", 4086, "SWAPSPACE2", rootfs.Swap},
		{"swap of 64 KiB pages", 65526, "SWAPSPACE2", rootfs.Swap},
		{"fat32", 82, "FAT32   ", rootfs.FAT},
		{"nothing", 99, "nothing", rootfs.Unknown},
	} {
		image := make([]byte, 1<<17+4096)
		copy(image[tt.at:], tt.magic)
		if got, err := rootfs.Detect(bytes.NewReader(image)); got != tt.want || err != nil {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
	// A LUKS header in front of what looks like ext4 is LUKS.
	image := make([]byte, 2048)
	copy(image, "LUKS\xba\xbe")
	copy(image[1080:], "\x53\xef")
	if got, err := rootfs.Detect(bytes.NewReader(image)); got != rootfs.LUKS || err != nil {
		t.Errorf("LUKS over ext4: %s, %v", got, err)
	}
}

func TestDetectShort(t *testing.T) {
	if got, err := rootfs.Detect(bytes.NewReader([]byte("XFS"))); got != rootfs.Unknown || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := rootfs.Detect(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("a broken disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
