//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOtherDisks boots a system that has the programs for LVM, RAID and btrfs with
// three more disks of the host's: a volume group "mapper" with a volume
// "cryptroot", whose link would be /dev/mapper/cryptroot, a btrfs with the root's
// UUID, and a RAID. Neither the initrd nor the system assembles any of it, and the
// root's names stay the root's.
func TestOtherDisks(t *testing.T) {
	t.Parallel()
	source := probed(t, image(t, "ubuntu"), 1)
	for _, initrd := range []string{"minimal", "distribution"} {
		t.Run(initrd, func(t *testing.T) {
			t.Parallel()
			name := "other-disks-" + initrd
			c := convertFile(t, source, filepath.Join(scratch, name), "--module-package", modulePackage(t), "--initrd", initrd)
			otherDisks(t, c, registered(t, name, c))
		})
	}
}

func otherDisks(t *testing.T, c *conversion, bundle string) {
	t.Helper()
	dir, uuid := t.TempDir(), c.Conversion.Disk.FilesystemUUID
	flags := []string{"--snapshot", "--", "-uuid", hostsUUID}
	for name, content := range map[string]func(t *testing.T, path string){
		"lvm":   func(t *testing.T, path string) { volumeGroup(t, path, uuid) },
		"btrfs": func(t *testing.T, path string) { halfOfBtrfs(t, path, uuid) },
		"raid":  raid,
	} {
		path := filepath.Join(dir, name)
		writeFile(t, path, "")
		truncate(t, path, otherDisk)
		content(t, path)
		flags = append(flags, "-drive", "if=none,format=raw,id="+name+",file="+path, "-device", "virtio-blk-pci,serial="+name+",drive="+name)
	}
	v := boot(t, c, bundle, flags...)
	expect(t, v, `snpguard: .* hand-over: to `, untilAgent)
	expect(t, v, `PROBE done`, untilLogin)
	for what, want := range map[string]string{
		"seen":         "LVM2_member btrfs linux_raid_member", // else nothing was tried
		"dm-0":         "cryptroot",
		"root":         "/dev/mapper/cryptroot",
		"name":         "/dev/dm-0",
		"uuid":         "/dev/dm-0",
		"dm":           "dm-0",
		"md":           "",
		"btrfs-kernel": "0",
		"agent":        "1",
	} {
		found := regexp.MustCompile(`PROBE ` + what + `: ?(.*?)\s*\n`).FindStringSubmatch(v.Log())
		if found == nil || strings.TrimSpace(found[1]) != want {
			t.Errorf("%s is %q, want %q", what, found, want)
		}
	}
	id := regexp.MustCompile(`PROBE machine-id: ([0-9a-f]{32})\s`).FindStringSubmatch(v.Log())
	if id == nil || c.Conversion.Initrd == "minimal" && id[1] == strings.ReplaceAll(hostsUUID, "-", "") {
		t.Errorf("machine-id %q is none, or the host's", id)
	}
}

// otherDisk is the size of each of the host's disks, in bytes.
const otherDisk = 128 << 20

// probe tells on the console what became of the disks, when udev is done.
const probe = `say() { printf 'PROBE %s: %s\n' "$1" "$(echo $2)" >/dev/ttyS0; }
udevadm settle; sleep 20; udevadm settle
say seen "$(for name in lvm btrfs raid; do blkid -p -o value -s TYPE /dev/disk/by-id/virtio-$name; done)"
say dm-0 "$(cat /sys/block/dm-0/dm/name)"
say root "$(findmnt -no SOURCE /)"
say name "$(readlink -f /dev/mapper/cryptroot)"
say uuid "$(readlink -f /dev/disk/by-uuid/$(blkid -p -o value -s UUID /dev/dm-0))"
say dm "$(ls /sys/block | grep ^dm-)"
say md "$(ls /sys/block | grep ^md)"
say btrfs-kernel "$(dmesg | grep -c 'BTRFS: device')"
say machine-id "$(cat /etc/machine-id)"
say agent "$(snpguard-agent status | grep -c /dev/mapper/cryptroot)"
say done
`

// probed returns a copy of an image whose system runs the probe.
func probed(t *testing.T, source string, partition int) string {
	t.Helper()
	dir := t.TempDir()
	raw := filepath.Join(dir, "probed.raw")
	output(t, "qemu-img", "convert", "-O", "raw", source, raw)
	first := strings.Fields(field(output(t, "sgdisk", "-i", fmt.Sprint(partition), raw), "First sector:"))
	var sector int64
	if _, err := fmt.Sscan(first[0], &sector); err != nil {
		t.Fatal(err)
	}
	const unit = "[Service]\nType=oneshot\nExecStart=/bin/sh /etc/probe\n"
	for name, content := range map[string]string{
		"probe": probe, "probe.service": unit,
		"commands": "write " + filepath.Join(dir, "probe") + " /etc/probe\nwrite " + filepath.Join(dir, "probe.service") + " /etc/systemd/system/probe.service\n" +
			"symlink /etc/systemd/system/multi-user.target.wants/probe.service ../probe.service\n",
	} {
		writeFile(t, filepath.Join(dir, name), content)
	}
	output(t, "debugfs", "-w", "-f", filepath.Join(dir, "commands"), fmt.Sprintf("%s?offset=%d", raw, sector*512))
	return raw
}

// Layout of an LVM2 physical volume (lib/format_text/layout.h, lib/label/label.h
// of LVM2): a label in the second sector, a metadata area from 4 KiB, extents from
// 1 MiB.
const (
	labelAt    = 512
	metadataAt = 4096
	metadataOf = 1<<20 - metadataAt
	extentsAt  = 1 << 20
	lvmCRC     = 0xf597a6cf // start of all its checksums
)

// volumeGroup writes a physical volume of a group "mapper" with a volume
// "cryptroot", which holds a file system of the given UUID.
func volumeGroup(t *testing.T, path, uuid string) {
	t.Helper()
	const pv = "aaaaaabbbbccccddddeeeeffffgggggg"
	text := []byte(fmt.Sprintf(`mapper {
id = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggh"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes { pv0 {
id = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg"
device = "/dev/vdb"
status = ["ALLOCATABLE"]
flags = []
dev_size = %d
pe_start = %d
pe_count = 16
} }
logical_volumes { cryptroot {
id = "aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggi"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {
start_extent = 0
extent_count = 16
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
} } }
}
contents = "Text Format Volume Group"
version = 1
description = ""
creation_host = "host"
creation_time = 1
`, otherDisk/512, extentsAt/512) + "\x00")

	label := make([]byte, 512)
	copy(label, "LABELONE")
	binary.LittleEndian.PutUint64(label[8:], labelAt/512)
	binary.LittleEndian.PutUint32(label[20:], 32) // where the header is
	copy(label[24:], "LVM2 001")
	copy(label[32:], pv)
	for i, n := range []uint64{otherDisk, extentsAt, 0, 0, 0, metadataAt, metadataOf, 0, 0} {
		binary.LittleEndian.PutUint64(label[64+8*i:], n)
	}
	binary.LittleEndian.PutUint32(label[16:], lvmSum(label[20:]))

	area := make([]byte, 512)
	copy(area[4:], " LVM2 x[5A%r0N*>")
	binary.LittleEndian.PutUint32(area[20:], 1)
	for i, n := range []uint64{metadataAt, metadataOf, 512, uint64(len(text))} {
		binary.LittleEndian.PutUint64(area[24+8*i:], n)
	}
	binary.LittleEndian.PutUint32(area[56:], lvmSum(text))
	binary.LittleEndian.PutUint32(area[0:], lvmSum(area[4:]))

	output(t, "mke2fs", "-q", "-t", "ext4", "-U", uuid, "-E", fmt.Sprintf("offset=%d", extentsAt), path, "60M")
	overwrite(t, path, labelAt, label)
	overwrite(t, path, metadataAt, append(area, text...))
}

// halfOfBtrfs makes a btrfs of two devices, of which this is one: the kernel
// remembers those that it is told of, to mount them with what has their UUID.
func halfOfBtrfs(t *testing.T, path, uuid string) {
	t.Helper()
	other := path + "-other"
	writeFile(t, other, "")
	truncate(t, other, otherDisk)
	output(t, "mkfs.btrfs", "-q", "-U", uuid, "-d", "single", "-m", "single", path, other)
}

// lvmSum is CRC-32 with another start, and without its last inversion.
func lvmSum(data []byte) uint32 {
	start := uint32(lvmCRC)
	return ^crc32.Update(^start, crc32.IEEETable, data)
}

// raid writes a superblock of Linux RAID 1.2 (mdp_superblock_1 of
// include/uapi/linux/raid/md_p.h), of a mirror with one disk.
func raid(t *testing.T, path string) {
	t.Helper()
	const at, data = 4096, 2048 // of the superblock, in bytes; of the data, in sectors
	b := make([]byte, 256+2*128)
	u32 := func(at int, n uint32) { binary.LittleEndian.PutUint32(b[at:], n) }
	u64 := func(at int, n uint64) { binary.LittleEndian.PutUint64(b[at:], n) }
	u32(0, 0xa92b4efc)
	u32(4, 1)
	copy(b[16:], bytes.Repeat([]byte{0x11}, 16)) // set_uuid
	copy(b[32:], "localhost:0")                  // set_name
	u64(64, 1)                                   // ctime
	u32(72, 1)                                   // level
	u64(80, otherDisk/512-data)
	u32(92, 1) // raid_disks
	u64(128, data)
	u64(136, otherDisk/512-data)
	u64(144, at/512)
	copy(b[168:], bytes.Repeat([]byte{0x22}, 16)) // device_uuid
	u64(192, 1)                                   // utime
	u64(200, 1)                                   // events
	u64(208, ^uint64(0))                          // in sync
	u32(220, 128)                                 // max_dev; roles are 0 for this disk
	for i := 1; i < 128; i++ {
		binary.LittleEndian.PutUint16(b[256+2*i:], 0xffff)
	}
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(binary.LittleEndian.Uint32(b[i:]))
	}
	u32(216, uint32(sum)+uint32(sum>>32))
	overwrite(t, path, at, b)
}

func overwrite(t *testing.T, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}
