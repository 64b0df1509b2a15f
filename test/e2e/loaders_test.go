//go:build e2e

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki/ukitest"
)

// espPartition is the EFI system partition of the images.
const espPartition = 15

// loaded is what an image boots.
type loaded struct{ release, kernel, initrd, options string }

// TestBootLoaders boots images without GRUB, whose kernel lies on the EFI system
// partition: where kernel-install puts it for systemd-boot, and in a unified kernel
// image.
func TestBootLoaders(t *testing.T) {
	for name, files := range map[string]func(loaded) map[string]string{
		"kernel-install": func(l loaded) map[string]string {
			dir := "token/" + l.release
			return map[string]string{
				dir + "/linux": l.kernel, dir + "/initrd.img-" + l.release: l.initrd,
				"loader/entries/token-" + l.release + ".conf": fmt.Sprintf("title Debian\nversion %s\nsort-key debian\noptions %s\nlinux /%s/linux\ninitrd /%s/initrd.img-%s\n", l.release, l.options, dir, dir, l.release),
			}
		},
		"unified": func(l loaded) map[string]string {
			return map[string]string{"EFI/Linux/debian-" + l.release + ".efi": ukitest.Image(
				ukitest.Section{uki.Release, "ID=debian\nPRETTY_NAME=Debian\n"}, ukitest.Section{uki.Cmdline, l.options}, ukitest.Section{uki.Uname, l.release},
				ukitest.Section{uki.Linux, l.kernel}, ukitest.Section{uki.Initrd, l.initrd},
			)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := convertFile(t, withoutGRUB(t, files), filepath.Join(scratch, "loader-"+name))
			if c.Conversion.BootEntry != "Debian" {
				t.Errorf("converted %q", c.Conversion.BootEntry)
			}
			v := boot(t, c, registered(t, "loader-"+name, c), "--snapshot")
			login(t, v)
		})
	}
}

// withoutGRUB returns Debian's disk with kernel and initrd on the EFI system
// partition alone, in the files that a function makes.
func withoutGRUB(t *testing.T, files func(loaded) map[string]string) string {
	dir := t.TempDir()
	raw := filepath.Join(dir, "disk.raw")
	output(t, "qemu-img", "convert", "-O", "raw", image(t, "debian"), raw)
	root := openRoot(t, image(t, "debian"), 1)
	entries, err := bootentry.Read(root, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		content, err := fs.ReadFile(root, strings.TrimPrefix(name, "/"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	e := entries[0]
	l := loaded{releaseOf(t, root), read(e.Kernel), read(e.Initrds[0]), e.Options}
	commands := filepath.Join(dir, "commands")
	writeFile(t, commands, "rm /boot/grub/grub.cfg\nrm "+e.Kernel+"\nrm "+e.Initrds[0]+"\n")
	output(t, "debugfs", "-w", "-f", commands, fmt.Sprintf("%s?offset=%d", raw, startOf(t, raw, 1)))
	fat := fmt.Sprintf("%s@@%d", raw, startOf(t, raw, espPartition))
	for name, content := range files(l) {
		for _, parent := range parents(name) {
			_ = exec.Command("mmd", "-D", "s", "-i", fat, "::/"+parent).Run() // it may be there
		}
		file := filepath.Join(dir, "file")
		writeFile(t, file, content)
		output(t, "mcopy", "-o", "-i", fat, file, "::/"+name)
	}
	if err := os.Remove(filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	return raw
}

// parents lists the directories of a path, the outermost first.
func parents(name string) (all []string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		all = append([]string{dir}, all...)
	}
	return all
}

// startOf returns where a partition starts, in bytes.
func startOf(t *testing.T, raw string, partition int) int64 {
	first, _, _ := strings.Cut(field(output(t, "sgdisk", "-i", fmt.Sprint(partition), raw), "First sector:"), " ")
	var sector int64
	if _, err := fmt.Sscan(first, &sector); err != nil {
		t.Fatal(err)
	}
	return sector * 512
}
