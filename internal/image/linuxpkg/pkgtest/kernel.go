package pkgtest

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
)

// Module is an ELF object with nothing but a .modinfo section, as the build of a kernel
// of this release makes it.
func Module(release, name, depends string, more ...string) string {
	fields := append([]string{"license=GPL", "depends=" + depends, "name=" + name, "vermagic=" + release + " SMP preempt mod_unload "}, more...)
	info := strings.Join(fields, "\x00") + "\x00"
	const names = "\x00.modinfo\x00.shstrtab\x00"
	const header = 64
	var table, b bytes.Buffer
	at := uint64(header)
	for _, s := range []struct {
		name, kind uint32
		content    string
	}{{}, {1, 1, info}, {10, 3, names}} {
		le(&table, s.name, s.kind, uint64(0), uint64(0), at, uint64(len(s.content)), uint32(0), uint32(0), uint64(1), uint64(0))
		at += uint64(len(s.content))
	}
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le(&b, uint16(1), uint16(62), uint32(1), uint64(0), uint64(0), at, uint32(0))
	le(&b, uint16(header), uint16(0), uint16(0), uint16(64), uint16(3), uint16(2))
	b.WriteString(info + names)
	b.Write(table.Bytes())
	return b.String()
}

func le(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		binary.Write(b, binary.LittleEndian, v) //nolint:errcheck // a buffer never fails
	}
}

// Image is a bzImage that says its release, and nothing else.
func Image(release string) string {
	b := make([]byte, 0x400)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20E:], 0x100)
	copy(b[0x300:], release+" (builder@host) #1 SMP\x00")
	return string(b)
}

// Kernel is the files of a kernel's package that can be an SNP guest with the agent, as
// Debian names them, below prefix ("./" or "./usr/").
func Kernel(release, prefix string) []File {
	at := path.Join(prefix, "lib/modules", release) + "/"
	files := []File{
		{Name: "./boot/"},
		{Name: "./boot/vmlinuz-" + release, Content: Image(release)},
		{Name: "./boot/config-" + release, Content: "CONFIG_AMD_MEM_ENCRYPT=y\nCONFIG_RD_ZSTD=y\nCONFIG_RD_GZIP=y\n"},
		{Name: at + "build", Target: "/usr/src/linux"},
		{Name: at + "modules.builtin", Content: "kernel/crypto/aes_generic.ko\nkernel/fs/ext4/ext4.ko\n"},
		{Name: at + "modules.order", Content: "kernel/crypto/xts.ko\nkernel/crypto/ecb.ko\n"},
	}
	for _, m := range [][3]string{
		{"kernel/drivers/md/dm-mod.ko", "dm_mod"}, {"kernel/drivers/md/dm-crypt.ko", "dm_crypt", "dm-mod"},
		{"kernel/crypto/xts.ko", "xts"}, {"kernel/crypto/ecb.ko", "ecb"}, {"kernel/fs/configfs/configfs.ko", "configfs"},
		{"kernel/drivers/virt/coco/tsm.ko", "tsm", "configfs"}, {"kernel/drivers/virt/coco/sev-guest.ko", "sev_guest", "tsm"},
		{"kernel/drivers/block/virtio_blk.ko", "virtio_blk"},
	} {
		var more []string
		switch m[1] {
		case "xts":
			more = []string{"softdep=pre: crypto-ecb"}
		case "ecb":
			more = []string{"alias=crypto-ecb"}
		}
		files = append(files, File{Name: at + m[0], Content: Module(release, m[1], m[2], more...)})
	}
	return files
}
