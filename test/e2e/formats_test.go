//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// Whatever the format of the source, the same comes out.
func TestSourceFormats(t *testing.T) {
	root := rootPart(t, oddTree(t))
	l := layout{raw: gptDisk(t, root), root: root.content}
	for name, args := range map[string][]string{
		"qcow2 v2":            {"qcow2", "compat=0.10"},
		"qcow2 v3":            {"qcow2", "compat=1.1"},
		"qcow2 small cluster": {"qcow2", "cluster_size=4096"},
		"vmdk stream":         {"vmdk", "subformat=streamOptimized"},
		"vmdk":                {"vmdk", "subformat=monolithicSparse"},
		"vdi":                 {"vdi", "static=off"},
		"vhdx":                {"vhdx", "subformat=dynamic"},
		"vpc":                 {"vpc", "subformat=dynamic,force_size=on"},
	} {
		t.Run(name, func(t *testing.T) {
			source := filepath.Join(t.TempDir(), "source")
			output(t, "qemu-img", "convert", "-O", args[0], "-o", args[1], l.raw, source)
			c := convertOdd(t, source)
			if c.Conversion.Source.Format != args[0] {
				t.Errorf("taken for %s", c.Conversion.Source.Format)
			}
			verify(t, c, l)
		})
	}
	t.Run("qcow2 compressed", func(t *testing.T) {
		source := filepath.Join(t.TempDir(), "source")
		output(t, "qemu-img", "convert", "-c", "-O", "qcow2", l.raw, source)
		verify(t, convertOdd(t, source), l)
	})
	t.Run("qcow2 on another", func(t *testing.T) {
		dir := t.TempDir()
		base := filepath.Join(dir, "base.qcow2")
		output(t, "qemu-img", "convert", "-O", "qcow2", l.raw, base)
		output(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", filepath.Join(dir, "top.qcow2"))
		verify(t, convertOdd(t, filepath.Join(dir, "top.qcow2")), l)
	})
}

// What can be asked for changes what it says and nothing else.
func TestConversionFlags(t *testing.T) {
	tree := oddTree(t)
	menu := filepath.Join(tree, "boot/grub/grub.cfg")
	content, err := os.ReadFile(menu)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, menu, strings.ReplaceAll(string(content), "consoleblank=0", "consoleblank=0 hash_dist=0 ip=dhcp"))
	root := rootPart(t, tree)
	l := layout{raw: gptDisk(t, root), root: root.content}
	release := releaseOf(t, rootfstest.Open(t, root.content))
	for name, test := range map[string]struct {
		stdin string
		args  []string
		check func(*testing.T, *conversion)
	}{
		"raw":        {args: []string{"--format", "raw"}, check: func(t *testing.T, c *conversion) { isRaw(t, c.Image) }},
		"compressed": {args: []string{"--compress"}, check: func(*testing.T, *conversion) {}},
		"larger": {args: []string{"--size", "300M", "--artifacts-size", "16M"}, check: func(t *testing.T, c *conversion) {
			if size := c.Conversion.Disk.Size; size != 300<<20 {
				t.Errorf("the disk has %d bytes", size)
			}
		}},
		"no free space":      {args: []string{"--encrypt-free-space", "--size", "160M", "--artifacts-size", "16M"}, check: noHoles},
		"raw, no free space": {args: []string{"--encrypt-free-space", "--format", "raw"}, check: noHoles},
		"discards": {args: []string{"--allow-discards"}, check: func(t *testing.T, c *conversion) {
			if !c.Conversion.Disk.AllowDiscards {
				t.Error("not noted")
			}
		}},
		"kernel": {args: []string{"--kernel", release}, check: func(*testing.T, *conversion) {}},
		"interactive": {stdin: "2\n", args: []string{"--interactive"}, check: func(t *testing.T, c *conversion) {
			if !strings.Contains(c.Conversion.BootEntry, ">") {
				t.Errorf("took %q, which is not the second entry", c.Conversion.BootEntry)
			}
		}},
		"the distribution's initrd": {args: []string{"--initrd", "distribution"}, check: func(t *testing.T, c *conversion) {
			if c.Conversion.Initrd != "distribution" || !strings.HasSuffix(c.Conversion.Cmdline, "rd.shell=0 rd.emergency=poweroff") {
				t.Errorf("initrd %s, command line: %s", c.Conversion.Initrd, c.Conversion.Cmdline)
			}
		}},
		"optional modules": {args: []string{"--optional-modules"}, check: func(t *testing.T, c *conversion) {
			if c.Conversion.Initrd != "minimal" || !c.Conversion.OptionalModules {
				t.Errorf("initrd %s, optional modules %t", c.Conversion.Initrd, c.Conversion.OptionalModules)
			}
		}},
		"command line": {args: []string{"--cmdline-append", "more=words"}, check: func(t *testing.T, c *conversion) {
			if !slices.Contains(strings.Fields(c.Conversion.Cmdline), "more=words") {
				t.Errorf("command line: %s", c.Conversion.Cmdline)
			}
		}},
		"kept argument": {args: []string{"--keep-argument", "hash_dist="}, check: func(t *testing.T, c *conversion) {
			if !slices.Contains(strings.Fields(c.Conversion.Cmdline), "hash_dist=0") || strings.Contains(c.Conversion.Cmdline, "ip=") {
				t.Errorf("command line: %s", c.Conversion.Cmdline)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := convertFed(t, test.stdin, l.raw, test.args...)
			if c.Conversion.Kernel != release {
				t.Errorf("kernel %s", c.Conversion.Kernel)
			}
			verify(t, c, l)
			test.check(t, c)
		})
	}
}

func isRaw(t *testing.T, path string) {
	t.Helper()
	if out := output(t, "qemu-img", "info", path); !strings.Contains(out, "file format: raw") {
		t.Error(out)
	}
}

// noHoles looks for sectors of the payload that were never written.
func noHoles(t *testing.T, c *conversion) {
	t.Helper()
	raw := c.Image
	if c.Conversion.Disk.Format == "qcow2" {
		raw = rawCopy(t, c.Image)
	}
	data, err := os.ReadFile(rootPartition(t, raw, c.Conversion))
	if err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 4096)
	for at := c.Conversion.Disk.PayloadOffset; at+4096 <= int64(len(data)); at += 4096 {
		if bytes.Equal(data[at:at+4096], zero) {
			t.Fatalf("the sector at %d of the partition is a hole", at)
		}
	}
}

// Without encryption the disk is as it was, whatever partitions it has.
func TestNoEncryption(t *testing.T) {
	for name, build := range map[string]func(*testing.T) layout{
		"GPT":  func(t *testing.T) layout { return bootDisk(t, "LABEL=BOOT") },
		"MBR":  func(t *testing.T) layout { return mbrDisk(t, false) },
		"swap": swapDisk,
	} {
		l := build(t)
		t.Run(name, func(t *testing.T) {
			c := convertOdd(t, l.raw, "--no-encryption", "--artifacts-size", "0")
			output(t, "qemu-img", "check", c.Image)
			output(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", l.raw, c.Image)
			if c.Conversion.Encrypted || strings.Contains(c.Conversion.Cmdline, "rdinit") || !strings.Contains(c.Conversion.Cmdline, "root=") {
				t.Errorf("%+v", c.Conversion)
			}
		})
		t.Run(name+", larger", func(t *testing.T) {
			c := convertOdd(t, l.raw, "--no-encryption", "--size", "400M", "--artifacts-size", "16M", "--format", "raw")
			output(t, "sfdisk", "--verify", c.Image)
			if !l.mbr {
				soundGPT(t, c.Image)
				samePartitions(t, l.raw, c.Image, c.Conversion)
			}
		})
	}
}
