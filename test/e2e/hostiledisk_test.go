//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put overwrites bytes of a copy of a file.
func put(t *testing.T, source string, at int64, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostile")
	output(t, "cp", "--sparse=always", source, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
	return path
}

// part32 is a number as GPT and ext4 write it.
func part32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// What is wrong with a disk or its file is told by name.
func TestHostileDisks(t *testing.T) {
	root := rootPart(t, oddTree(t))
	raw := gptDisk(t, root, part{number: 2, kind: "8300", name: "other", mib: 4})
	qcow := filepath.Join(t.TempDir(), "good.qcow2")
	output(t, "qemu-img", "convert", "-O", "qcow2", raw, qcow)
	size := int64((1 + 96 + 4 + 1) << 20)
	garbage := bytes.Repeat([]byte{0xaa}, 16)
	for name, test := range map[string]struct {
		build func(t *testing.T) string
		words []string
	}{
		"truncated qcow2": {func(t *testing.T) string {
			path := put(t, qcow, 0, nil)
			truncate(t, path, 20<<20)
			return path
		}, []string{"truncated"}},
		"qcow2 that points outside of itself": {func(t *testing.T) string { return put(t, qcow, 40, binary.BigEndian.AppendUint64(nil, 1<<40)) }, []string{"L1 table"}},
		"qcow2 of petabytes":                  {func(t *testing.T) string { return put(t, qcow, 24, binary.BigEndian.AppendUint64(nil, 1<<51)) }, []string{"a virtual disk of 2 PiB"}},
		"empty file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "empty")
			write(t, filepath.Dir(path), "empty", "")
			return path
		}, []string{"the virtual disk is empty"}},
		"backing file elsewhere":       {func(t *testing.T) string { return backed(t, raw) }, []string{"backing file", "outside of the image's directory"}},
		"backing file by a path above": {func(t *testing.T) string { return backed(t, "../good.qcow2") }, []string{"backing file", "outside of the image's directory"}},
		"backing file by a protocol":   {func(t *testing.T) string { return backed(t, "nbd://127.0.0.1:1/x") }, []string{"backing file", "protocol"}},
		"backing file by a linked directory": {func(t *testing.T) string {
			path := backed(t, "sub/disk.raw")
			link(t, filepath.Dir(raw), filepath.Join(filepath.Dir(path), "sub"))
			return path
		}, []string{"backing file"}},
		"vmdk whose extent is a file of the host": {func(t *testing.T) string {
			dir := t.TempDir()
			write(t, dir, "x.vmdk", fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW %d FLAT \"%s\" 0\n", size/512, raw))
			return filepath.Join(dir, "x.vmdk")
		}, []string{"other files"}},
		"GPT with bad checksums": {func(t *testing.T) string {
			return put(t, put(t, raw, 1024+60, garbage), size-33*512+60, garbage)
		}, []string{"GPT", "checksum"}},
		"overlapping partitions":           {func(t *testing.T) string { return overlapping(t, raw, size) }, []string{"overlap"}},
		"no partition table":               {func(*testing.T) string { return root.content }, []string{"no partition table"}},
		"superblock with a wrong magic":    {func(t *testing.T) string { return put(t, raw, 1<<20+1024+56, []byte{0, 0}) }, []string{"no root file system"}},
		"superblock with a wrong checksum": {func(t *testing.T) string { return put(t, raw, 1<<20+1024+0x78, garbage) }, []string{"partition 1", "checksum"}},
		"superblock of an impossible size": {func(t *testing.T) string { return put(t, raw, 1<<20+1024+4, part32(1<<31)) }, []string{"partition 1"}},
		"truncated raw": {func(t *testing.T) string {
			path := put(t, raw, 0, nil)
			truncate(t, path, 50<<20)
			return path
		}, []string{"GPT"}},
		"root on LVM": {func(t *testing.T) string {
			return put(t, raw, 1<<20+512, []byte("LABELONE\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00LVM2 001"))
		}, []string{"partition 1", "LVM"}},
		"root on RAID": {func(t *testing.T) string { return put(t, raw, 1<<20+4096, part32(0xa92b4efc)) }, []string{"partition 1", "Linux RAID"}},
		"root on LUKS": {func(t *testing.T) string {
			key := filepath.Join(t.TempDir(), "key")
			write(t, filepath.Dir(key), "key", "secret")
			disk := filepath.Join(t.TempDir(), "luks")
			write(t, filepath.Dir(disk), "luks", "")
			truncate(t, disk, 32<<20)
			output(t, "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key, disk)
			return gptDisk(t, part{number: 1, kind: "8309", name: "luks", mib: 32, content: disk})
		}, []string{"partition 1", "LUKS"}},
		"two roots": {func(t *testing.T) string {
			again := root
			again.number, again.guid = 3, ""
			return gptDisk(t, root, again)
		}, []string{"partitions 1 and 3", "operating system"}},
		"converted already": {func(t *testing.T) string { return convertOdd(t, raw).Image }, []string{"partition 1", "converted already"}},
		"full file system": {func(t *testing.T) string {
			full := root
			full.content = put(t, root.content, 0, nil)
			var blocks int64
			if _, err := fmt.Sscan(field(output(t, "dumpe2fs", "-h", full.content), "Free blocks:"), &blocks); err != nil {
				t.Fatal(err)
			}
			filler := filepath.Join(t.TempDir(), "filler")
			if err := os.WriteFile(filler, bytes.Repeat([]byte("x"), int(blocks*4096-1<<20)), 0o600); err != nil {
				t.Fatal(err)
			}
			output(t, "debugfs", "-w", "-R", "write "+filler+" filler", full.content)
			return gptDisk(t, full)
		}, []string{"file system is full"}},
	} {
		t.Run(name, func(t *testing.T) { notTaken(t, test.build(t), test.words) })
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// backed returns an image that names a backing file, which QEMU's own tool need
// not find.
func backed(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "top.qcow2")
	output(t, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", name, "-F", "raw", path, "100M")
	return path
}

// field returns what a program says behind a word.
func field(out, name string) string {
	_, rest, _ := strings.Cut(out, name)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// overlapping moves the second partition into the first, with right checksums.
func overlapping(t *testing.T, raw string, size int64) string {
	t.Helper()
	path := put(t, raw, 0, nil)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []struct{ header, array int64 }{{512, 1024}, {size - 512, size - 33*512}} {
		array, header := make([]byte, 128*128), make([]byte, 92)
		if _, err := f.ReadAt(array, at.array); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(header, at.header); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint64(array[128+32:], 4096) // first sector of partition 2
		binary.LittleEndian.PutUint32(header[88:], crc32.ChecksumIEEE(array))
		clear(header[16:20])
		binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header))
		if _, err := f.WriteAt(array, at.array); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(header, at.header); err != nil {
			t.Fatal(err)
		}
	}
	return path
}
