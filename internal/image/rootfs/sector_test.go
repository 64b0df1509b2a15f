package rootfs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// TestLargestSector asks about file systems that their own programs have made.
func TestLargestSector(t *testing.T) {
	const small, large = 16 << 20, 320 << 20
	for name, tc := range map[string]struct {
		kind rootfs.Type
		path string
		want int
	}{
		"ext4 of 1 KiB":   {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-t", "ext4", "-b", "1024"), 1024},
		"ext2 of 2 KiB":   {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-t", "ext2", "-b", "2048"), 2048},
		"ext4 of 4 KiB":   {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-t", "ext4", "-b", "4096"), 4096},
		"ext4 of 64 KiB":  {rootfs.Ext4, made(t, small, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "65536"), 65536},
		"xfs by default":  {rootfs.XFS, made(t, large, "mkfs.xfs", "-q"), 512},
		"xfs of 4096":     {rootfs.XFS, made(t, large, "mkfs.xfs", "-q", "-s", "size=4096"), 4096},
		"btrfs":           {rootfs.Btrfs, made(t, large, "mkfs.btrfs", "-q", "--sectorsize", "4096"), 4096},
		"btrfs of 64 KiB": {rootfs.Btrfs, made(t, large, "mkfs.btrfs", "-q", "--sectorsize", "65536"), 65536},
	} {
		f, err := os.Open(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, err := rootfs.LargestSector(f, tc.kind); got != tc.want || err != nil {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

func TestHostileSectorsAreRefused(t *testing.T) {
	block := make([]byte, 66<<10)
	ext4, xfs, btrfs := block[1024+0x18:], block[102:], block[64<<10+0x90:]
	for _, log := range []uint32{7, 31, 32, 54, 64, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(ext4, log)
		if n, err := rootfs.LargestSector(bytes.NewReader(block), rootfs.Ext4); !errors.Is(err, rootfs.ErrCorrupt) {
			t.Errorf("ext4 blocks of 2^(10+%d): %d, %v", log, n, err)
		}
	}
	for _, size := range []uint16{0, 256, 511, 513, 4095, 6144, 1<<16 - 1} {
		binary.BigEndian.PutUint16(xfs, size)
		if n, err := rootfs.LargestSector(bytes.NewReader(block), rootfs.XFS); !errors.Is(err, rootfs.ErrCorrupt) {
			t.Errorf("xfs sectors of %d: %d, %v", size, n, err)
		}
	}
	for _, size := range []uint32{0, 256, 4095, 12288, 128 << 10, 1 << 31} {
		binary.LittleEndian.PutUint32(btrfs, size)
		if n, err := rootfs.LargestSector(bytes.NewReader(block), rootfs.Btrfs); !errors.Is(err, rootfs.ErrCorrupt) {
			t.Errorf("btrfs sectors of %d: %d, %v", size, n, err)
		}
	}
	if _, err := rootfs.LargestSector(bytes.NewReader(block[:103]), rootfs.XFS); !errors.Is(err, io.EOF) {
		t.Errorf("cut off: %v", err)
	}
	if _, err := rootfs.LargestSector(bytes.NewReader(block), rootfs.FAT); !errors.Is(err, rootfs.ErrUnsupported) {
		t.Errorf("another kind: %v", err)
	}
}

// FuzzLargestSector puts a number where each kind has its own, into a super block that
// may be cut off.
func FuzzLargestSector(f *testing.F) {
	f.Add(uint32(2), 66<<10)
	f.Add(uint32(4096), 66<<10)
	f.Add(uint32(0x10000002), 103)
	f.Fuzz(func(t *testing.T, number uint32, length int) {
		b := make([]byte, 66<<10)
		binary.LittleEndian.PutUint32(b[1024+0x18:], number)
		binary.BigEndian.PutUint32(b[102:], number)
		binary.LittleEndian.PutUint32(b[64<<10+0x90:], number)
		b = b[:max(0, min(length, len(b)))]
		for _, kind := range []rootfs.Type{rootfs.Ext4, rootfs.XFS, rootfs.Btrfs} {
			n, err := rootfs.LargestSector(bytes.NewReader(b), kind)
			if err == nil && (n < 512 || n > 64<<10 || n&(n-1) != 0 || len(b) < 104) {
				t.Errorf("%s: sectors of %d bytes, of a super block of %d", kind, n, len(b))
			}
		}
	})
}
