package convert

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// TestSectorsSuitTheRoot converts file systems that Linux mounts on sectors of 4096
// bytes and others that it does not.
func TestSectorsSuitTheRoot(t *testing.T) {
	tree := tinyTree(t)
	for blockSize, want := range map[int]int{1024: 512, 2048: 512, 4096: 4096, 65536: 4096} {
		image := rootfstest.Make(t, 16, tree, "-t", "ext4", "-b", strconv.Itoa(blockSize), "-O", "^has_journal")
		o, ingestion := tinyOptions(t, tinyDisk(t, image))
		o.Format = Raw
		part, vmk := convertedRoot(t, o, ingestion)
		header, err := luks2.Parse(bytes.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		_, config := stagedInitrd(t, o)
		if told := config.Root.SectorSize; header.SectorSize != want || told != want {
			t.Errorf("blocks of %d: sectors of %d in the header and %d in the configuration, want %d", blockSize, header.SectorSize, told, want)
		}
		if content := decryptedFile(t, part, vmk, "etc/secret"); content != "this must not be seen" {
			t.Errorf("blocks of %d: found %q", blockSize, content)
		}
	}
}

// TestLastBlockArrives has a partition that ends in the middle of a granule, with data in
// its last block.
func TestLastBlockArrives(t *testing.T) {
	const size = 8<<20 + 1024
	for _, fill := range []bool{false, true} {
		image := rootfstest.Make(t, 8, tinyTree(t), "-t", "ext2", "-b", "1024")
		if err := os.Truncate(image, size); err != nil {
			t.Fatal(err)
		}
		rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1)
		rootfstest.Run(t, "resize2fs", []string{image, strconv.Itoa(size / 1024)})
		rootfstest.Debugfs(t, image, "setb "+strconv.Itoa(size/1024-1), "sif /etc/secret block[0] "+strconv.Itoa(size/1024-1))
		rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1)              // frees the block in which the file was
		secret := append([]byte("the last block it has"), make([]byte, 1003)...) // as long as the file
		f, err := os.OpenFile(image, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(secret, size-1024); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		o, ingestion := tinyOptions(t, tinyDisk(t, image))
		o.Format, o.EncryptFreeSpace = Raw, fill
		part, vmk := convertedRoot(t, o, ingestion)
		if content := decryptedFile(t, part, vmk, "etc/secret"); content != "the last block it has" {
			t.Errorf("free space filled %t: found %q", fill, content)
		}
	}
}

// TestSectorsOfHostileRoots has super blocks that give no size.
func TestSectorsOfHostileRoots(t *testing.T) {
	for _, tc := range []struct {
		kind rootfs.Type
		want int // 0 for an error
		size [2]byte
	}{
		{rootfs.XFS, 512, [2]byte{2, 0}}, {rootfs.XFS, 4096, [2]byte{0x10, 0}}, {rootfs.XFS, 0, [2]byte{}}, {rootfs.XFS, 0, [2]byte{0x10, 1}},
	} {
		block := make([]byte, 4096)
		copy(block[102:], tc.size[:])
		path := filepath.Join(t.TempDir(), "root")
		if err := os.WriteFile(path, block, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := sectorFor(&workingCopy{file: f, kind: tc.kind})
		if got != tc.want || errors.Is(err, rootfs.ErrCorrupt) != (tc.want == 0) {
			t.Errorf("%s, %x: %d, %v", tc.kind, tc.size, got, err)
		}
	}
}

// convertedRoot converts to a raw image and returns its root partition and the key of it.
func convertedRoot(t *testing.T, o *Options, ingestion *seal.PrivateKey) (part, vmk []byte) {
	t.Helper()
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return rootOf(t, o, c, ingestion)
}
