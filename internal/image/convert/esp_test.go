package convert

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/fat/fattest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki/ukitest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// bareTree is tinyTree without anything to boot in /boot, and what was there.
func bareTree(t *testing.T) (dir, kernel, initrd string) {
	t.Helper()
	dir = tinyTree(t)
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, "boot", name+tinyRelease))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	kernel, initrd = read("vmlinuz-"), read("initrd.img-")
	put(t, dir, "lib/modules/"+tinyRelease+"/config", read("config-"))
	if err := os.RemoveAll(filepath.Join(dir, "boot")); err != nil {
		t.Fatal(err)
	}
	return dir, kernel, initrd
}

// tinyUKI is a unified kernel image.
func tinyUKI(kernel, initrd, cmdline string) string {
	return ukitest.Image(ukitest.Section{uki.Release, "ID=tiny\nPRETTY_NAME=\"Tiny UKI\"\n"}, ukitest.Section{uki.Cmdline, cmdline + "\x00"},
		ukitest.Section{uki.Uname, tinyRelease}, ukitest.Section{uki.Linux, kernel}, ukitest.Section{uki.Initrd, initrd})
}

// TestKernelsOnFAT has kernel and initrd on the EFI system partition or an extended
// boot loader partition, as files or in a unified kernel image. The former stays
// empty; the files of the latter move into the root.
func TestKernelsOnFAT(t *testing.T) {
	for name, test := range map[string]struct {
		kind  string // of the partition
		fstab string
		files func(kernel, initrd string) map[string]string
		title string
		moves bool
	}{
		"ESP, UKI": {gpt.TypeESP, "UUID=" + fattest.Serial + " /boot/efi vfat umask=0077 0 1", func(kernel, initrd string) map[string]string {
			return map[string]string{"EFI/Linux/tiny.efi": tinyUKI(kernel, initrd, "root=/dev/vda1 ro quiet"), "EFI/BOOT/BOOTX64.EFI": "a boot loader"}
		}, "Tiny UKI", false},
		"ESP alone, UKI that the firmware starts": {gpt.TypeESP, "", func(kernel, initrd string) map[string]string {
			return map[string]string{"EFI/BOOT/BOOTX64.EFI": tinyUKI(kernel, initrd, "root=/dev/vda1 ro quiet")}
		}, "Tiny UKI", false},
		"ESP, entry":               {gpt.TypeESP, "", kernelInstallFiles, "Tiny entry", false},
		"ESP that is /boot, entry": {gpt.TypeESP, "UUID=" + fattest.Serial + " /boot vfat umask=0077 0 1", kernelInstallFiles, "Tiny entry", true},
		"XBOOTLDR, entry":          {gpt.TypeXBOOTLDR, "UUID=" + fattest.Serial + " /boot vfat defaults 0 2", kernelInstallFiles, "Tiny entry", true},
		"XBOOTLDR without a mount, UKI": {gpt.TypeXBOOTLDR, "", func(kernel, initrd string) map[string]string {
			return map[string]string{"EFI/Linux/tiny.efi": tinyUKI(kernel, initrd, "root=/dev/vda1 ro quiet")}
		}, "Tiny UKI", true},
	} {
		tree, kernel, initrd := bareTree(t)
		put(t, tree, "etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n"+test.fstab+"\n")
		source := typedDisk(t, test.kind, rootfstest.Make(t, 8, tree), fattest.Make(t, 16, 4<<20, test.files(kernel, initrd)))
		o, _ := tinyOptions(t, source)
		o.Format, o.Initrd = Raw, bootconf.InitrdDistribution
		c, err := Convert(context.Background(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		moved := slices.ContainsFunc(c.Edits, func(e string) bool { return strings.HasPrefix(e, "/boot/loader") || strings.HasPrefix(e, "/boot/EFI") })
		if c.Kernel != tinyRelease || c.BootEntry != test.title || moved != test.moves || !strings.Contains(c.Cmdline, "quiet") {
			t.Errorf("%s: %+v", name, c)
		}
		checkStaged(t, o, kernel, initrd)
		if disk, err := os.ReadFile(o.Output); err != nil || bytes.Contains(disk, []byte("HdrS")) || bytes.Contains(disk, []byte("FAT16")) {
			t.Errorf("%s: the FAT partition was copied: %v", name, err)
		}
		found, err := Inspect(context.Background(), source, nil)
		if err != nil || len(found.Problems) > 0 || found.BootEntry != test.title || found.Partitions[1].UUID != fattest.Serial {
			t.Errorf("%s: inspection: %+v, %v", name, found, err)
		}
	}
}

// kernelInstallFiles is the layout of kernel-install, with an entry that is not the
// default.
func kernelInstallFiles(kernel, initrd string) map[string]string {
	dir := "token/" + tinyRelease + "/"
	return map[string]string{
		"loader/loader.conf":                            "timeout 3\ndefault token-*\n",
		"loader/entries/token-" + tinyRelease + ".conf": "title Tiny entry\nversion " + tinyRelease + "\noptions root=/dev/vda1 ro quiet\nlinux /" + dir + "linux\ninitrd /" + dir + "initrd\n",
		"etc/os-release":                                "ID=fat\n", "loader/entries/zz.conf": "title Another\nlinux /none\n",
		dir + "linux": kernel, dir + "initrd": initrd,
	}
}

func checkStaged(t *testing.T, o *Options, kernel, initrd string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(o.Staging, staging.NameKernel))
	if err != nil || string(got) != kernel {
		t.Errorf("kernel: %d bytes, want %d: %v", len(got), len(kernel), err)
	}
	got, err = os.ReadFile(filepath.Join(o.Staging, staging.NameInitrd))
	if err != nil || !strings.HasPrefix(string(got), initrd) {
		t.Errorf("initrd: %.40q, %v", got, err)
	}
}

// TestDamagedESP names a partition that is not read where its kernel would be
// needed, and is no obstacle elsewhere.
func TestDamagedESP(t *testing.T) {
	damaged := func(files map[string]string) string {
		path := fattest.Make(t, 16, 4<<20, files)
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fattest.Link(image, 16, 2, 2)
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tree, kernel, initrd := bareTree(t)
	o, _ := tinyOptions(t, typedDisk(t, gpt.TypeESP, rootfstest.Make(t, 8, tree), damaged(kernelInstallFiles(kernel, initrd))))
	if _, err := Convert(context.Background(), o); err == nil || !strings.Contains(err.Error(), "no kernel") || !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "partition 2 is not read: ") {
		t.Errorf("needed: %v", err)
	}
	o, _ = tinyOptions(t, typedDisk(t, gpt.TypeESP, rootfstest.Make(t, 8, tinyTree(t)), damaged(kernelInstallFiles(kernel, initrd))))
	if _, err := Convert(context.Background(), o); err != nil {
		t.Errorf("not needed: %v", err)
	}
}
