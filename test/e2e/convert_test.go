//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/xts"

	"crypto/aes"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// TestConvertedImages converts the real images and looks at what came out with
// programs that are not ours.
func TestConvertedImages(t *testing.T) {
	for _, kind := range []string{"debian", "dracut", "ubuntu"} {
		t.Run(kind, func(t *testing.T) {
			c := converted(t, kind)
			raw := filepath.Join(t.TempDir(), "disk.raw")
			output(t, "qemu-img", "check", c.Image)
			output(t, "qemu-img", "convert", "-O", "raw", c.Image, raw)
			if out := output(t, "sgdisk", "-v", raw); !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk -v: %s", out)
			}
			samePartitions(t, rawCopy(t, image(t, kind)), raw, c.Conversion)
			vmk := recovered(t, c)
			part := rootPartition(t, raw, c.Conversion)
			checkLUKS(t, part, vmk, c.Conversion)
			plain := decrypted(t, part, vmk, c.Conversion)
			suitsRoot(t, part, plain)
			output(t, "e2fsck", "-fn", plain)
			before, after := openRoot(t, image(t, kind), c.Conversion.Disk.RootPartition), rootfstest.Open(t, plain)
			if n := sameFiles(t, before, after, c.Conversion); n < 10_000 {
				t.Errorf("only %d files were compared", n)
			}
			if len(c.Conversion.Edits) > 1000 {
				t.Errorf("%d edits", len(c.Conversion.Edits))
			}
			if kind == "ubuntu" {
				sameBoot(t, openRoot(t, image(t, kind), 16), after)
				samePackage(t, modulePackage(t), after)
			}
			noPlaintext(t, c.Image)
			checkSize(t, c)
		})
	}
}

// samePartitions compares numbers, types, GUIDs and names, as sgdisk tells them.
func samePartitions(t *testing.T, before, raw string, c *staging.Conversion) {
	t.Helper()
	if len(c.Disk.Partitions) == 0 {
		t.Fatal("conversion.json names no partitions")
	}
	for _, p := range c.Disk.Partitions {
		if p.Name == slots.Label {
			continue
		}
		var told [2]string
		for i, disk := range []string{before, raw} {
			for line := range strings.Lines(output(t, "sgdisk", "-i", fmt.Sprint(p.Number), disk)) {
				if strings.Contains(line, "GUID") || strings.Contains(line, "name") || strings.Contains(line, "flags") {
					told[i] += line
				}
			}
		}
		if told[0] != told[1] || told[0] == "" {
			t.Errorf("partition %d was\n%snow\n%s", p.Number, told[0], told[1])
		}
	}
}

// recovered opens the VMK with the age identity of the test.
func recovered(t *testing.T, c *conversion) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(c.Staging, staging.NameRecovery))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, c.Recovery)
	if err != nil {
		t.Fatal(err)
	}
	vmk, err := io.ReadAll(r)
	if err != nil || len(vmk) != 64 {
		t.Fatalf("recovered %d bytes: %v", len(vmk), err)
	}
	return vmk
}

// rootPartition copies the root partition into a file of its own.
func rootPartition(t *testing.T, raw string, c *staging.Conversion) string {
	t.Helper()
	for _, p := range c.Disk.Partitions {
		if p.Number != c.Disk.RootPartition {
			continue
		}
		part := filepath.Join(t.TempDir(), "root.part")
		output(t, "dd", "if="+raw, "of="+part, "bs=1M", "conv=sparse", "iflag=skip_bytes,count_bytes",
			fmt.Sprintf("skip=%d", p.Offset), fmt.Sprintf("count=%d", p.Size))
		return part
	}
	t.Fatal("no root partition")
	return ""
}

// checkLUKS asks cryptsetup.
func checkLUKS(t *testing.T, part string, vmk []byte, c *staging.Conversion) {
	t.Helper()
	dump := output(t, "cryptsetup", "luksDump", part)
	for _, want := range []string{"snpguard-root", "aes-xts-plain64", c.Disk.LUKSUUID, fmt.Sprintf("offset: %d", c.Disk.PayloadOffset)} {
		if !strings.Contains(dump, want) {
			t.Errorf("luksDump does not show %q:\n%s", want, dump)
		}
	}
	key := filepath.Join(t.TempDir(), "vmk")
	if err := os.WriteFile(key, vmk, 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "cryptsetup", "open", "--test-passphrase", "--key-size", "512", "--volume-key-file", key, part)
	if err := os.WriteFile(key, bytes.Repeat([]byte{7}, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("cryptsetup", "open", "--test-passphrase", "--key-size", "512", "--volume-key-file", key, part).Run(); err == nil {
		t.Error("cryptsetup takes another key as well")
	}
}

// sectorSize is that of a root partition's encryption.
func sectorSize(t *testing.T, part string) int {
	t.Helper()
	return numberAfter(t, output(t, "cryptsetup", "luksDump", part), "sector: ")
}

// suitsRoot wants Linux to mount a file system on sectors of the size in which it is
// encrypted, and that to be the larger one where it may.
func suitsRoot(t *testing.T, part, plain string) {
	t.Helper()
	sector, block := sectorSize(t, part), numberAfter(t, output(t, "dumpe2fs", "-h", plain), "Block size:")
	if sector != 512 && sector != 4096 || sector > block || sector < 4096 && block >= 4096 {
		t.Errorf("blocks of %d bytes are encrypted in sectors of %d", block, sector)
	}
}

func numberAfter(t *testing.T, text, word string) int {
	t.Helper()
	_, rest, _ := strings.Cut(text, word)
	n, err := strconv.Atoi(append(strings.Fields(rest), "")[0])
	if err != nil {
		t.Fatalf("no number follows %q:\n%s", word, text)
	}
	return n
}

// decrypted decrypts a root partition with the XTS of golang.org/x/crypto.
func decrypted(t *testing.T, part string, vmk []byte, c *staging.Conversion) string {
	t.Helper()
	cipher, err := xts.NewCipher(aes.NewCipher, vmk)
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(part)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "root.ext4"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Truncate(info.Size() - c.Disk.PayloadOffset); err != nil {
		t.Fatal(err)
	}
	size := sectorSize(t, part)
	sector, zero := make([]byte, size), make([]byte, size)
	for at := int64(0); ; at += int64(size) {
		if _, err := in.ReadAt(sector, c.Disk.PayloadOffset+at); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(sector, zero) {
			continue // never written; a file system that needs it will be found damaged
		}
		cipher.Decrypt(sector, sector, uint64(at/512))
		if _, err := out.WriteAt(sector, at); err != nil {
			t.Fatal(err)
		}
	}
	return out.Name()
}

// openRoot opens the root file system of an image.
func openRoot(t testing.TB, path string, partition int) rootfs.Volume {
	t.Helper()
	source, err := qemu.Probe(path)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := qemu.Open(context.Background(), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() }) //nolint:errcheck // nothing was written
	offset, size := partitionOf(t, disk, partition)
	volume, err := ext4.Open(io.NewSectionReader(disk, offset, size), size)
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

// noPlaintext searches the raw bytes of an image for what every Debian root has
// in clear, headers and unallocated clusters included.
func noPlaintext(t *testing.T, path string) {
	t.Helper()
	known := [][]byte{
		[]byte("root:x:0:0:root"), []byte("PRETTY_NAME="), []byte("\x7fELF\x02\x01\x01"), []byte("Debian GNU/Linux"),
		[]byte("menuentry '"), []byte("#!/bin/sh"), []byte("libc.so.6"), mustHex("fd377a585a000004"),
	}
	nowhere(t, path, known...)
}

// nowhere fails for every word that stands in a file.
func nowhere(t *testing.T, path string, known ...[]byte) {
	t.Helper()
	data, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	const window, overlap = 8 << 20, 64
	buffer := make([]byte, window+overlap)
	for at := int64(0); ; at += window {
		n, err := data.ReadAt(buffer, at)
		for _, word := range known {
			if i := bytes.Index(buffer[:n], word); i >= 0 {
				t.Errorf("%q stands in clear at byte %d", word, at+int64(i))
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// checkSize compares the image with what its file system uses.
func checkSize(t *testing.T, c *conversion) {
	t.Helper()
	info, err := os.Stat(c.Image)
	if err != nil {
		t.Fatal(err)
	}
	if limit := c.Conversion.Disk.Used * 115 / 100; info.Size() > limit {
		t.Errorf("the image has %d bytes, of %d that are used", info.Size(), c.Conversion.Disk.Used)
	}
}

// An image that lacks modules is refused by the name of the package to fetch.
func TestMissingModulesNameTheirPackage(t *testing.T) {
	dir := t.TempDir()
	failed := refused(t, exitEnvironment, "--in", image(t, "ubuntu"), "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging"))
	release := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(modulePackage(t)), "linux-modules-extra-"), "_amd64.deb")
	for _, want := range []string{"sev_guest", "linux-modules-extra-" + release, "--module-package", release + ": "} {
		if !strings.Contains(failed, want) {
			t.Errorf("%q is not in: %s", want, failed)
		}
	}
	empty(t, dir)
}
