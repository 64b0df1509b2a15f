//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// layout is a small image of some shape.
type layout struct {
	raw        string // the disk
	root, boot string // its file systems; boot is "" within the root
	mbr        bool
	sectors    int // bytes, 0 for 512
}

// layouts are made by functions, each when its turn comes.
func layouts() map[string]func(*testing.T) layout {
	esp := part{number: 15, kind: "ef00", name: "esp", mib: 2}
	bios := part{number: 14, kind: "ef02", name: "bios", mib: 1}
	plain := func(t *testing.T, args ...string) layout {
		root := rootPart(t, oddTree(t), args...)
		return layout{raw: gptDisk(t, root), root: root.content}
	}
	byName := func(name, fstab string) func(t *testing.T) layout {
		return func(t *testing.T) layout {
			dir := oddTree(t)
			setMenu(t, dir, "root="+name)
			write(t, dir, "etc/fstab", fstab+" / ext4 defaults 0 1\n")
			root := rootPart(t, dir)
			return layout{raw: gptDisk(t, root), root: root.content}
		}
	}
	return map[string]func(*testing.T) layout{
		"root first": func(t *testing.T) layout {
			root := rootPart(t, oddTree(t))
			return layout{raw: gptDisk(t, root, bios, esp), root: root.content}
		},
		"root in the middle": func(t *testing.T) layout {
			root := rootPart(t, oddTree(t))
			return layout{raw: gptDisk(t, bios, root, esp), root: root.content}
		},
		"root last": func(t *testing.T) layout {
			root := rootPart(t, oddTree(t))
			return layout{raw: gptDisk(t, bios, esp, root), root: root.content}
		},
		"sectors of 4096 bytes":    largeSectors,
		"blocks of 1 KiB":          func(t *testing.T) layout { return plain(t, "-b", "1024") },
		"ext3":                     func(t *testing.T) layout { return plain(t, "-t", "ext3") },
		"small file system inside": smallInside,
		"MBR":                      func(t *testing.T) layout { return mbrDisk(t, false) },
		"MBR, logical":             func(t *testing.T) layout { return mbrDisk(t, true) },
		"swap":                     swapDisk,
		"boot by UUID":             func(t *testing.T) layout { return bootDisk(t, "UUID="+bootUUID) },
		"boot by label":            func(t *testing.T) layout { return bootDisk(t, "LABEL=BOOT") },
		"boot by PARTUUID":         func(t *testing.T) layout { return bootDisk(t, "PARTUUID="+bootGUID) },
		"boot with a stale kernel": staleBoot,
		"root by label":            byName("LABEL="+rootLabel, "LABEL="+rootLabel),
		"root by UUID":             byName("UUID="+rootUUID, "UUID="+rootUUID),
		"root by device":           byName("/dev/vda1", "/dev/vda1"),
		"BLS entries":              blsDisk,
	}
}

// Whatever the shape of the source, its files are found again.
func TestLayouts(t *testing.T) {
	for name, build := range layouts() {
		t.Run(name, func(t *testing.T) {
			l := build(t)
			before := hashFile(t, l.raw)
			c := convertOdd(t, l.raw)
			if hashFile(t, l.raw) != before {
				t.Error("the source was changed")
			}
			verify(t, c, l)
		})
	}
}

// verify holds a conversion against its source, and returns the root.
func verify(t *testing.T, c *conversion, l layout) rootfs.Volume {
	t.Helper()
	raw := c.Image
	if c.Conversion.Disk.Format == "qcow2" {
		output(t, "qemu-img", "check", c.Image)
		raw = rawCopy(t, c.Image)
	}
	switch {
	case l.sectors == 4096:
		sameLargePartitions(t, l.raw, raw)
	case l.mbr:
		soundGPT(t, raw)
	default:
		soundGPT(t, raw)
		samePartitions(t, l.raw, raw, c.Conversion)
	}
	vmk := recovered(t, c)
	part := rootPartition(t, raw, c.Conversion)
	checkLUKS(t, part, vmk, c.Conversion)
	plain := decrypted(t, part, vmk, c.Conversion)
	suitsRoot(t, part, plain)
	output(t, "e2fsck", "-fn", plain)
	after := rootfstest.Open(t, plain)
	if n := sameFiles(t, rootfstest.Open(t, l.root), after, c.Conversion); n < 50 {
		t.Errorf("only %d files were compared", n)
	}
	if l.boot != "" {
		sameBoot(t, rootfstest.Open(t, l.boot), after)
	}
	nowhere(t, c.Image, []byte("canary 7c1f"), []byte("root:x:0:0"), []byte("menuentry '"), []byte("PRETTY_NAME="))
	fstab := readFile(t, after, "etc/fstab")
	if !strings.HasPrefix(fstab, "/dev/mapper/cryptroot / ext") || !strings.Contains(fstab, "x-systemd.growfs") {
		t.Errorf("fstab: %s", fstab)
	}
	for line := range strings.Lines(fstab) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "/dev/mapper/cryptroot ") {
			t.Errorf("is still mounted: %s", line)
		}
	}
	return after
}

func soundGPT(t *testing.T, raw string) {
	t.Helper()
	if out := output(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
}

// largeSectors is a disk with logical sectors of 4096 bytes.
func largeSectors(t *testing.T) layout {
	root := rootPart(t, oddTree(t))
	path, end := newDisk(t, []part{root, {mib: 2}})
	commands := fmt.Sprintf("g\nn\n1\n%d\n%d\nn\n2\n%d\n%d\nx\nu\n1\n%s\nn\n1\nroot\nr\nw\n",
		256, (1+root.mib)*256-1, (1+root.mib)*256, end*256-1, rootGUID)
	feed(t, commands, "fdisk", "-b", "4096", path)
	return layout{raw: path, root: root.content, sectors: 4096}
}

// sameLargePartitions asks fdisk, since sgdisk knows no such sectors in files.
func sameLargePartitions(t *testing.T, before, after string) {
	t.Helper()
	var told [2]string
	for i, disk := range []string{before, after} {
		out := output(t, "fdisk", "-b", "4096", "-l", "-o", "Type-UUID,UUID,Name", disk)
		if strings.Contains(out, "corrupt") || strings.Contains(out, "mismatch") {
			t.Errorf("fdisk: %s", out)
		}
		_, table, _ := strings.Cut(out, "Type-UUID")
		for line := range strings.Lines(table) {
			// Its number is the first that was free, wherever it lies.
			if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, slots.Label) && !strings.Contains(line, "not in disk order") {
				told[i] += strings.Join(strings.Fields(line), " ") + "\n"
			}
		}
	}
	if told[0] != told[1] || !strings.Contains(strings.ToLower(told[0]), rootGUID) {
		t.Errorf("was %s\nis %s", told[0], told[1])
	}
	output(t, "fdisk", "-b", "4096", "-l", after)
	if out := feed(t, "v\nq\n", "fdisk", "-b", "4096", after); !strings.Contains(out, "No errors detected") {
		t.Errorf("fdisk: %s", out)
	}
}

// smallInside is a file system that is smaller than its partition, by a number
// that is no multiple of anything.
func smallInside(t *testing.T) layout {
	image := mkfs(t, oddTree(t), 91, "-b", "1024")
	output(t, "resize2fs", image, "91003K")
	root := part{number: 1, kind: "8304", guid: rootGUID, name: "root", mib: 96, content: image}
	return layout{raw: gptDisk(t, root), root: image}
}

// mbrDisk is a disk with a master boot record.
func mbrDisk(t *testing.T, logical bool) layout {
	dir := oddTree(t)
	number := "01"
	if logical {
		number = "05"
	}
	setMenu(t, dir, "root=PARTUUID=12345678-"+number)
	write(t, dir, "etc/fstab", "PARTUUID=12345678-"+number+" / ext4 defaults 0 1\n")
	root := rootPart(t, dir)
	path, _ := newDisk(t, []part{root, {mib: 2}})
	table := "label: dos\nlabel-id: 0x12345678\n"
	if logical {
		path, _ = newDisk(t, []part{{mib: 2}, root, {mib: 2}})
		table += fmt.Sprintf("2 : start=4096, size=%d, type=5\n5 : start=%d, size=%d, type=83\n", (root.mib+2)*2048, 3*2048, root.mib*2048)
	} else {
		table += fmt.Sprintf("1 : start=2048, size=%d, type=83, bootable\n2 : start=%d, size=2048, type=82\n", root.mib*2048, (1+root.mib)*2048)
	}
	feed(t, table, "sfdisk", "-q", path)
	return layout{raw: path, root: root.content, mbr: true}
}

// swapDisk has swap space with something in it.
func swapDisk(t *testing.T) layout {
	swap := filepath.Join(t.TempDir(), "swap")
	if err := os.WriteFile(swap, bytes.Repeat([]byte(canary), 4<<20/len(canary)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(swap, 4<<20); err != nil {
		t.Fatal(err)
	}
	output(t, "mkswap", "-q", swap)
	dir := oddTree(t)
	write(t, dir, "etc/fstab", "PARTUUID="+rootGUID+" / ext4 defaults 0 1\n/dev/vda2 none swap sw 0 0\n")
	root := rootPart(t, dir)
	return layout{raw: gptDisk(t, part{number: 2, kind: "8200", name: "swap", mib: 4, content: swap}, root), root: root.content}
}

// bootDisk has a separate /boot, which fstab gives some name.
func bootDisk(t *testing.T, name string) layout {
	dir := oddTree(t)
	write(t, dir, "etc/fstab", "LABEL="+rootLabel+" / ext4 defaults 0 1\n"+name+" /boot ext4 defaults 0 2\n")
	return separateBoot(t, dir, splitBoot(t, dir))
}

func separateBoot(t *testing.T, dir, boot string) layout {
	bootfs := mkfs(t, boot, 64, "-U", bootUUID, "-L", "BOOT")
	root := rootPart(t, dir)
	return layout{
		raw:  gptDisk(t, part{number: 16, kind: "ea00", guid: bootGUID, name: "boot", mib: 64, content: bootfs}, root),
		root: root.content, boot: bootfs,
	}
}

// staleBoot has a kernel below the mount point of /boot, which no boot loader
// sees.
func staleBoot(t *testing.T) layout {
	dir := oddTree(t)
	write(t, dir, "etc/fstab", "LABEL="+rootLabel+" / ext4 defaults 0 1\nUUID="+bootUUID+" /boot ext4 defaults 0 2\n")
	boot := splitBoot(t, dir)
	write(t, dir, "boot/vmlinuz-0.0.1-stale", "an old kernel")
	return separateBoot(t, dir, boot)
}

// blsDisk has no grub.cfg but entries of the Boot Loader Specification.
func blsDisk(t *testing.T) layout {
	dir := oddTree(t)
	if err := os.RemoveAll(filepath.Join(dir, "boot/grub")); err != nil {
		t.Fatal(err)
	}
	release := releaseOf(t, os.DirFS(dir))
	write(t, dir, "boot/loader/entries/a.conf", fmt.Sprintf("title Debian\nversion %s\nlinux /boot/vmlinuz-%s\ninitrd /boot/initrd.img-%s\noptions root=UUID=%s ro console=ttyS0 of=bls\n",
		release, release, release, rootUUID))
	root := rootPart(t, dir)
	return layout{raw: gptDisk(t, root), root: root.content}
}
