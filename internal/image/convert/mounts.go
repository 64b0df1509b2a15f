package convert

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// followMounts reads the root's fstab. It takes the partition that is mounted on
// /boot for the boot partition, and refuses an image with files on further
// partitions: nothing of those is carried over. The rest is told in notes.
func (s *source) followMounts(root fs.FS) (notes []string, err error) {
	mounts, err := harden.Mounts(root)
	if err != nil {
		return nil, err
	}
	var lost []string
	for _, m := range mounts {
		v, sure := s.mounted(m)
		switch {
		case v == nil:
		case m.Target == "/boot" && v != s.root:
			if v.FS != nil && sure && (boots(bootAlone(v)) || hasKernel(bootAlone(v))) {
				s.boot = v
			}
		case v.isESP():
		case m.Target == "/boot/efi", m.Target == "/efi":
			if s.esp == nil && sure && v.Type == rootfs.FAT && v.FS != nil {
				s.esp = v
			}
		case v == s.root:
			return nil, fmt.Errorf("fstab mounts %q on %q and means the root: name it there as in the line of /", m.Source, m.Target)
		case sure:
			lost = append(lost, fmt.Sprintf("partition %d (%s) on %q", v.Partition.Number, v.Type, m.Target))
		default:
			lost = append(lost, fmt.Sprintf("%q on %q, which may be partition %d (%s)", m.Source, m.Target, v.Partition.Number, v.Type))
		}
	}
	if s.esp == s.boot {
		s.esp = nil
	}
	if len(lost) > 0 {
		return nil, fmt.Errorf("fstab mounts %s: only the root and /boot are carried over, so these files would be lost; move them into the root and take the mount out of fstab", strings.Join(lost, ", and "))
	}
	return s.leftBehind(), nil
}

// checkUsr refuses a /usr of its own where nobody mounts it before init, which is there.
func checkUsr(root fs.FS, initrd string) error {
	source, err := harden.SeparateUsr(root)
	if err != nil || source == "" || initrd != bootconf.InitrdMinimal {
		return err
	}
	return option.Errorf("initrd", "%s: fstab mounts %q on /usr, and the agent mounts the root alone; move /usr into the root, or take %s", initrd, source, bootconf.InitrdDistribution)
}

// leftBehind tells of partitions whose files nobody mounts.
func (s *source) leftBehind() (notes []string) {
	for i := range s.list {
		v := &s.list[i]
		if v != s.root && v != s.boot && v != s.esp && !v.isESP() && (v.FS != nil || holdsFiles(v.Type)) {
			notes = append(notes, fmt.Sprintf("partition %d (%s) is not mounted by fstab: its files are not carried over", v.Partition.Number, v.Type))
		}
	}
	return notes
}

// mounted finds the partition that a mount names. One whose name cannot be read
// here may be the one that is meant: then it is not sure. Devices outside of the
// image are nil.
func (s *source) mounted(m harden.Mount) (v *Volume, sure bool) {
	for i := range s.list {
		if v := &s.list[i]; v.named(m.Source, s.converted) {
			return v, true
		}
	}
	for i := range s.list {
		if v := &s.list[i]; v != s.root && v != s.boot && v.FS == nil && holdsFiles(v.Type) && !namesPartition(m.Source) {
			return v, false
		}
	}
	return nil, false
}

// holdsFiles says whether a partition may hold files whose names for fstab are
// not read here.
func holdsFiles(t rootfs.Type) bool {
	return slices.Contains([]rootfs.Type{
		rootfs.XFS, rootfs.Btrfs, rootfs.F2FS, rootfs.Bcachefs, rootfs.LVM, rootfs.RAID, rootfs.LUKS, rootfs.ZFS,
	}, t)
}

// sourceTag splits what fstab names a device by: "UUID" and the value, "" and a
// path in /dev.
func sourceTag(source string) (tag, value string) {
	if path, ok := strings.CutPrefix(source, "/dev/disk/by-"); ok {
		tag, value, _ = strings.Cut(path, "/")
		return strings.ToUpper(tag), value
	}
	if tag, value, found := strings.Cut(source, "="); found && !strings.HasPrefix(source, "/") {
		return tag, value
	}
	return "", source
}

// namesPartition says whether a name is one that every partition of the image
// can be told by, so that what bears another is not meant.
func namesPartition(source string) bool {
	tag, value := sourceTag(source)
	return tag == "PARTUUID" || tag == "PARTLABEL" || tag == "" && partitionNumber(value) != 0
}

// named says whether fstab's name of a device means this partition. fromMBR are
// partitions whose PARTUUID is made of the disk's signature and the number.
func (v *Volume) named(source string, fromMBR bool) bool {
	tag, value := sourceTag(source)
	switch tag {
	case "PARTUUID":
		if fromMBR {
			_, number, _ := strings.Cut(value, "-")
			return number == fmt.Sprintf("%02x", v.Partition.Number)
		}
		return strings.EqualFold(value, v.Partition.GUID.String())
	case "PARTLABEL":
		return value != "" && value == v.Partition.Name
	case "UUID":
		return v.FS != nil && strings.EqualFold(value, v.FS.UUID())
	case "LABEL":
		return v.FS != nil && value != "" && value == v.FS.Label()
	case "":
		return partitionNumber(value) == v.Partition.Number
	}
	return false
}

// partitionNumber reads the number of a partition of the first disk: /dev/sda3,
// /dev/vda3, /dev/xvda3, /dev/nvme0n1p3; 0 for others.
func partitionNumber(device string) int {
	for _, disk := range []string{"/dev/sda", "/dev/vda", "/dev/xvda", "/dev/hda", "/dev/nvme0n1p", "/dev/mmcblk0p"} {
		if digits, ok := strings.CutPrefix(device, disk); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				return n
			}
		}
	}
	return 0
}
