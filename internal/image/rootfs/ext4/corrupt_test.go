package ext4_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// TestSuperblock changes one field of a superblock without checksums at a time.
func TestSuperblock(t *testing.T) {
	good, err := os.ReadFile(rootfstest.Make(t, 16, "", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		offset int
		value  uint32
		want   error
		words  string
	}{
		{"magic", 0x38, 0, rootfs.ErrUnsupported, "no ext4"},
		{"compression", 0x60, 0x2C3, rootfs.ErrUnsupported, "compression"},
		{"journal device", 0x60, 0x2CA, rootfs.ErrUnsupported, "journal_dev"},
		{"encrypt and casefold", 0x60, 0x302C2, rootfs.ErrUnsupported, "encrypt, casefold"},
		{"a feature to come", 0x60, 0x800002C2, rootfs.ErrUnsupported, "0x80000000"},
		{"block size", 0x18, 7, rootfs.ErrCorrupt, "block size"},
		{"huge block size", 0x18, 0xFFFFFFFF, rootfs.ErrCorrupt, "block size"},
		{"first data block", 0x14, 5, rootfs.ErrCorrupt, "first data block"},
		{"blocks in a group", 0x20, 0, rootfs.ErrCorrupt, "in a group"},
		{"more blocks in a group than bits", 0x20, 16384, rootfs.ErrCorrupt, "in a group"},
		{"inodes in a group", 0x28, 0, rootfs.ErrCorrupt, "in a group"},
		{"inodes", 0x0, 12345, rootfs.ErrCorrupt, "inodes"},
		{"inode size", 0x58, 0x60, rootfs.ErrCorrupt, "inode size"},
		{"odd inode size", 0x58, 0x90, rootfs.ErrCorrupt, "inode size"},
		{"more blocks than there are", 0x4, 16385, rootfs.ErrCorrupt, "do not fit"},
		{"no blocks", 0x4, 0, rootfs.ErrCorrupt, "blocks"},
		{"petabytes", 0x150, 0x4000, rootfs.ErrCorrupt, ""},
		{"checksums of another type", 0x64, 0x46B, rootfs.ErrUnsupported, "checksums of type 0"},
		{"descriptor size", 0xFC, 48 << 16, rootfs.ErrCorrupt, "descriptor size"},
	} {
		image := bytes.Clone(good)
		binary.LittleEndian.PutUint32(image[1024+tt.offset:], tt.value)
		_, err := ext4.Open(bytes.NewReader(image), int64(len(image)))
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := ext4.Open(bytes.NewReader(good), 1500); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a short partition: %v", err)
	}
	if _, err := ext4.Open(bytes.NewReader(good[:1500]), int64(len(good))); err == nil {
		t.Error("a short disk is taken")
	}
}

// TestClusterSize gives a file system clusters of sizes that there are not.
func TestClusterSize(t *testing.T) {
	good, err := os.ReadFile(rootfstest.Make(t, 16, "", "-t", "ext4", "-b", "2048", "-C", "16384", "-O", "bigalloc,^metadata_csum"))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []uint32{0, 20, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(good[1024+0x1C:], size)
		_, err := ext4.Open(bytes.NewReader(good), int64(len(good)))
		corruptWith(t, err, "cluster size 2^(10+"+strconv.Itoa(int(size))+")")
	}
}

// TestChecksums flips one bit of each structure that has a checksum.
func TestChecksums(t *testing.T) {
	image := rootfstest.Make(t, 32, rootfstest.Tree(t), "-t", "ext4", "-b", "1024", "-O", "metadata_csum", "-g", "8192")
	rootfstest.Run(t, "e2fsck", []string{"-f", "-y", "-D", image}, 1)
	big := t.TempDir() + "/value"
	if err := os.WriteFile(big, bytes.Repeat([]byte("v"), 700), 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, image, "ea_set -f "+big+" small user.big")
	good, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	block := func(of string) int { return 1024 * askNumber(t, image, of) }
	everything := func(volume *ext4.FS) error {
		err := fs.WalkDir(volume, ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = fs.ReadFile(volume, name)
			}
			if err == nil {
				_, err = volume.Xattrs(name)
			}
			return err
		})
		for _, problem := range volume.Used() {
			err = errors.Join(err, problem)
		}
		return err
	}
	for name, at := range map[string]int{
		"nothing":          -1,
		"superblock":       1024 + 0x30,
		"group descriptor": 2048 + 0x0E,
		"inode":            block("imap /small") + askOffset(t, image, "/small") + 0x08,
		"extent block":     block("extents /fragments") + 700,
		"directory":        block("bmap /odd 0") + 14,
		"index root":       block("bmap /wide 0") + 40,
		"index limit":      block("bmap /wide 0") + 33,
		"index count":      block("bmap /wide 0") + 35,
		"attributes":       block("file_acl") + 900,
		"block bitmap":     block("bitmap") + 3,
	} {
		bad := bytes.Clone(good)
		if at >= 0 {
			bad[at] ^= 0x10
		}
		volume, err := ext4.Open(bytes.NewReader(bad), int64(len(bad)))
		if err == nil {
			err = everything(volume)
		}
		if at < 0 {
			if err != nil {
				t.Errorf("the image itself: %v", err)
			}
		} else if !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
