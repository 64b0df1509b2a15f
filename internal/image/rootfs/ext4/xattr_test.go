package ext4_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// acl is of user 1000 and group 5, besides the usual entries, as getxattr(2) gives it.
func acl(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString("02000000" + "0100" + "0600" + "ffffffff" + "0200" + "0700" + "e8030000" +
		"0400" + "0400" + "ffffffff" + "0800" + "0500" + "05000000" + "1000" + "0700" + "ffffffff" + "2000" + "0400" + "ffffffff")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// valued writes a value to a file for debugfs.
func valued(t *testing.T, value []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestXattrs(t *testing.T) {
	want := map[string][]byte{
		"user.a": []byte("short"), "user.empty": {}, "security.selinux": []byte("system_u:object_r:etc_t:s0\x00"),
		"trusted.overlay.opaque": []byte("y"), "security.capability": {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"user.block": bytes.Repeat([]byte("b"), 700), "system.posix_acl_access": acl(t),
	}
	for name, args := range map[string][]string{
		"ext4": {"-t", "ext4"}, "1k": {"-t", "ext4", "-b", "1024"}, "inode 128": {"-t", "ext4", "-I", "128"}, "inode 1024": {"-t", "ext4", "-I", "1024", "-b", "4096"},
		"no checksums": {"-t", "ext4", "-O", "^metadata_csum"}, "ext3": {"-t", "ext3"}, "inline_data": {"-t", "ext4", "-O", "inline_data"},
		"ea_inode": {"-t", "ext4", "-O", "ea_inode"},
	} {
		t.Run(name, func(t *testing.T) {
			want := maps.Clone(want)
			if name == "ea_inode" {
				want["user.huge"] = bytes.Repeat([]byte("0123456789"), 100) // has no room beside the other
			}
			image := rootfstest.Make(t, 16, "", args...)
			commands := []string{"write xattr_test.go file", "symlink link file", "mkdir none"}
			for attribute, value := range want {
				commands = append(commands, fmt.Sprintf("ea_set -f %s file %s", valued(t, value), attribute))
			}
			rootfstest.Debugfs(t, image, append(commands, "ea_set link trusted.b short")...)
			if name == "ea_inode" { // debugfs does not count the blocks of the other inode
				rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1)
			}
			rootfstest.Clean(t, image)
			volume := rootfstest.Open(t, image)
			got, err := volume.Xattrs("file")
			if err != nil || !maps.EqualFunc(got, want, bytes.Equal) {
				for attribute, value := range got {
					if !bytes.Equal(value, want[attribute]) {
						t.Errorf("%s has %d bytes: %.100q", attribute, len(value), value)
					}
				}
				t.Errorf("%d of %d attributes, %v", len(got), len(want), err)
			}
			if got, err := volume.Xattrs("link"); err != nil || string(got["trusted.b"]) != "short" || len(got) != 1 {
				t.Errorf("of the link: %q, %v", got, err)
			}
			if got, err := volume.Xattrs("none"); err != nil || len(got) != 0 {
				t.Errorf("of a directory without any: %q, %v", got, err)
			}
		})
	}
}

// TestHostileXattrs changes the entries of two attributes that are in an inode.
func TestHostileXattrs(t *testing.T) {
	image := plain(t, []string{"-b", "1024"}, "write xattr_test.go file", "ea_set file user.a value", "ea_set -f "+valued(t, acl(t))+" file system.posix_acl_access")
	raw, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	at := inodeAt(t, image, "/file", 1024)
	find := func(pattern string) int {
		found := regexp.MustCompile(pattern).FindIndex(raw[at : at+256])
		if found == nil {
			t.Fatalf("no %q in %q", pattern, raw[at:at+256])
		}
		return at + found[0]
	}
	user, list := find(`(?s)\x01\x01.{14}a`), find(`(?s)\x00\x02.{2}\x00{4}\x24\x00{3}`)
	for name, with := range map[string]bytesAt{
		"user.a": nil, "system.a": {user + 1: "\x07"}, "security.a": {user + 1: "\x06"}, "a": {user + 1: "\x00"},
		"system.posix_acl_access": nil, "system.posix_acl_default": {list + 1: "\x03"},
	} {
		want := []byte("value")
		if strings.Contains(name, "acl") {
			want = acl(t)
		}
		if got, err := changed(t, image, with).Xattrs("file"); err != nil || !bytes.Equal(got[name], want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := changed(t, image, bytesAt{user + 1: "\x05"}).Xattrs("file"); !errors.Is(err, rootfs.ErrUnsupported) || !strings.Contains(err.Error(), "an attribute of kind 5") {
		t.Errorf("an attribute of Lustre: %v", err)
	}
	for size, words := range map[uint32]string{35: "cut off", 24: "cut off", 3: "unknown version"} { // within the last entry, and one of 8 bytes
		_, err := changed(t, image, bytesAt{list + 8: u32(size)}).Xattrs("file")
		corruptWith(t, err, words)
	}
}

// TestValuesInInodes names one value of 64 KiB by several attributes, up to more
// than is read; then it is empty.
func TestValuesInInodes(t *testing.T) {
	image := plain(t, []string{"-b", "4096", "-I", "128", "-O", "ea_inode"}, "write xattr_test.go file", "ea_set -f "+valued(t, make([]byte, 4096))+" file user.a")
	raw, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	block := ask(t, image, "stat /file", `File ACL: (\d+)`, 10) * 4096
	number := binary.LittleEndian.Uint32(raw[block+32+4:])
	holder := inodeAt(t, image, fmt.Sprintf("<%d>", number), 4096)
	entries := func(n int, size uint32) bytesAt {
		var b strings.Builder
		for i := range n {
			b.WriteString("\x01\x01\x00\x00" + u32(number) + u32(size) + u32(0) + string(rune('a'+i)) + "\x00\x00\x00")
		}
		return bytesAt{block + 32: b.String(), holder + 4: u32(size)}
	}
	if got, err := changed(t, image, entries(16, 65536)).Xattrs("file"); err != nil || len(got) != 16 || len(got["user.p"]) != 65536 {
		t.Errorf("%d attributes, %v", len(got), err)
	}
	_, err = changed(t, image, entries(17, 65536)).Xattrs("file")
	corruptWith(t, err, "more than 1048576 bytes")
	if got, err := changed(t, image, entries(1, 0)).Xattrs("file"); err != nil || len(got) != 1 || len(got["user.a"]) != 0 {
		t.Errorf("an empty one: %q, %v", got, err)
	}
}
