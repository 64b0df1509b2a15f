package ext4_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/rootfstest"
)

func TestXattrs(t *testing.T) {
	// Of user 1000 and group 5, besides the usual entries, as getxattr(2) gives it.
	acl, err := hex.DecodeString("02000000" + "0100" + "0600" + "ffffffff" + "0200" + "0700" + "e8030000" +
		"0400" + "0400" + "ffffffff" + "0800" + "0500" + "05000000" + "1000" + "0700" + "ffffffff" + "2000" + "0400" + "ffffffff")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"user.a": []byte("short"), "user.empty": {}, "security.selinux": []byte("system_u:object_r:etc_t:s0\x00"),
		"trusted.overlay.opaque": []byte("y"), "security.capability": {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"user.block": bytes.Repeat([]byte("b"), 700), "system.posix_acl_access": acl,
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
			dir := t.TempDir()
			for attribute, value := range want {
				file := filepath.Join(dir, attribute)
				if err := os.WriteFile(file, value, 0o600); err != nil {
					t.Fatal(err)
				}
				commands = append(commands, fmt.Sprintf("ea_set -f %s file %s", file, attribute))
			}
			rootfstest.Debugfs(t, image, append(commands, "ea_set -f "+filepath.Join(dir, "user.a")+" link trusted.b")...)
			if name == "ea_inode" { // debugfs does not count the blocks of the other inode
				rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1)
			}
			rootfstest.Clean(t, image)
			volume := open(t, image)
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
