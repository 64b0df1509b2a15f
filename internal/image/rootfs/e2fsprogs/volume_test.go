package e2fsprogs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

func stat(t testing.TB, volume *ext4.FS, name string) *rootfs.Stat {
	t.Helper()
	found, err := volume.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return found.Sys().(*rootfs.Stat)
}

func read(t testing.TB, volume *ext4.FS, name string) string {
	t.Helper()
	data, err := fs.ReadFile(volume, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// smallTree is a directory with a few files of an image.
func smallTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etc/fstab": "old", "etc/hosts": "hosts", "usr/lib/os-release": "ID=debian", "boot/vmlinuz": "kernel", "boot/grub/grub.cfg": "menu",
		"boot/grub/fonts/a": "a", "home/a": "x",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Symlink("usr/lib", filepath.Join(dir, "lib")), os.Symlink("/etc/hosts", filepath.Join(dir, "etc/link")),
		os.Symlink("../../../..", filepath.Join(dir, "etc/up")), os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Link(filepath.Join(dir, "home/a"), filepath.Join(dir, "home/b")))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func shapes() map[string][]string {
	return map[string][]string{
		"ext4":             {"-t", "ext4"},
		"ext4 4k":          {"-t", "ext4", "-b", "4096", "-O", "ea_inode"},
		"no metadata_csum": {"-t", "ext4", "-O", "^metadata_csum,uninit_bg,^64bit"},
		"inline_data":      {"-t", "ext4", "-O", "inline_data"},
		"ext3":             {"-t", "ext3", "-I", "256"},
		"ext2":             {"-t", "ext2", "-I", "128"},
		"bigalloc":         {"-t", "ext4", "-O", "bigalloc"},
		"quota":            {"-t", "ext4", "-O", "quota,project", "-I", "256"},
		"orphan_file":      {"-t", "ext4", "-O", "orphan_file,fast_commit,metadata_csum_seed"},
	}
}
