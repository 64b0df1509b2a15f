//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/xts"

	"crypto/aes"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/staging"
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
			samePartitions(t, image(t, kind), raw, c.Conversion)
			vmk := recovered(t, c)
			part := rootPartition(t, raw, c.Conversion)
			checkLUKS(t, part, vmk, c.Conversion)
			plain := decrypted(t, part, vmk, c.Conversion)
			output(t, "e2fsck", "-fn", plain)
			sameFiles(t, image(t, kind), plain, c.Conversion)
			noPlaintext(t, c.Image)
			checkSize(t, c)
		})
	}
}

// samePartitions compares numbers, types, GUIDs and names, as sgdisk tells them.
func samePartitions(t *testing.T, source, raw string, c *staging.Conversion) {
	t.Helper()
	before := filepath.Join(t.TempDir(), "source.raw")
	output(t, "qemu-img", "convert", "-O", "raw", source, before)
	if len(c.Disk.Partitions) == 0 {
		t.Fatal("conversion.json names no partitions")
	}
	for _, p := range c.Disk.Partitions {
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
	for _, want := range []string{"snpguard-root", "aes-xts-plain64", c.Disk.LUKSUUID, "sector: 4096", fmt.Sprintf("offset: %d", c.Disk.PayloadOffset)} {
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
	sector, zero := make([]byte, 4096), make([]byte, 4096)
	for at := int64(0); ; at += 4096 {
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
	t.Cleanup(func() { disk.Close() })
	offset, size := partitionOf(t, disk, partition)
	volume, err := ext4.Open(io.NewSectionReader(disk, offset, size), size)
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

// sameFiles finds every file of the source again, apart from what conversion.json
// says was changed.
func sameFiles(t *testing.T, source, plain string, c *staging.Conversion) {
	t.Helper()
	f, err := os.Open(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	after, err := ext4.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	before := openRoot(t, source, c.Disk.RootPartition)
	edited := map[string]bool{}
	for _, path := range c.Edits {
		for path = strings.TrimPrefix(path, "/"); path != "."; path = filepath.Dir(path) {
			edited[path] = true // and the directories above, whose times change
		}
	}
	count := 0
	err = fs.WalkDir(before, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		count++
		if edited[path] || path == "." {
			return nil
		}
		want, got := describe(t, before, path), describe(t, after, path)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: was %+v, is %+v", path, want, got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 10_000 {
		t.Errorf("only %d files were compared", count)
	}
	if len(c.Edits) == 0 || len(c.Edits) > 1000 {
		t.Errorf("%d edits", len(c.Edits))
	}
}

// file is what has to be the same.
type file struct {
	Mode, UID, GID, Links, Major, Minor uint32
	Size                                int64
	Mtime, Ctime                        string
	Target                              string
	Xattrs                              map[string][]byte
	Hash                                string
}

func describe(t *testing.T, volume rootfs.Volume, path string) file {
	t.Helper()
	info, err := volume.Lstat(path)
	if err != nil {
		return file{Target: err.Error()}
	}
	stat := info.Sys().(*rootfs.Stat)
	d := file{
		Mode: stat.Mode, UID: stat.UID, GID: stat.GID, Links: stat.Links, Major: stat.Major, Minor: stat.Minor,
		Mtime: stat.Mtime.String(), Ctime: stat.Ctime.String(),
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		if d.Target, err = volume.ReadLink(path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	case 0:
		d.Size = stat.Size
		d.Hash = hashOf(t, volume, path)
		if d.Xattrs, err = volume.Xattrs(path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return d
}

// noPlaintext searches the raw bytes of an image for what every Debian root has
// in clear, headers and unallocated clusters included.
func noPlaintext(t *testing.T, path string) {
	t.Helper()
	data, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	known := [][]byte{
		[]byte("root:x:0:0:root"), []byte("PRETTY_NAME="), []byte("\x7fELF\x02\x01\x01"), []byte("Debian GNU/Linux"),
		[]byte("menuentry '"), []byte("#!/bin/sh"), []byte("libc.so.6"), mustHex("fd377a585a000004"),
	}
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
	if limit := c.Conversion.Disk.UsedBytes * 115 / 100; info.Size() > limit {
		t.Errorf("the image has %d bytes, of %d that are used", info.Size(), c.Conversion.Disk.UsedBytes)
	}
}

// The converted root's fstab mounts nothing that the host can write.
func TestConvertedRootMountsNothingInClear(t *testing.T) {
	c := converted(t, "ubuntu")
	if !slices.Contains(c.Conversion.Edits, "/etc/fstab") {
		t.Errorf("fstab was not edited: %q", c.Conversion.Edits)
	}
}
