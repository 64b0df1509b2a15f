package convert

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/fat"
)

// Volume is one partition of an image and what it holds.
type Volume struct {
	Partition gpt.Partition
	Offset    int64 // bytes from the disk's start
	Size      int64 // in bytes
	Type      rootfs.Type
	FS        rootfs.Volume // nil where the file system is not read
	Err       error         // why it is not, where it should be
	Converted bool          // the root of an image that came out of a conversion
}

// device is a disk image that is read.
type device interface {
	io.ReaderAt
	Size() int64
}

// partitions reads the partition table. The GPT that an MBR is turned into has
// new GUIDs; converted tells so.
func partitions(disk device) (table *gpt.Table, converted bool, err error) {
	sectorSize, kind, err := gpt.Detect(disk, disk.Size())
	if err != nil {
		return nil, false, err
	}
	switch kind {
	case gpt.GPT:
		table, err = gpt.Read(disk, disk.Size(), sectorSize)
		if err == nil && table.Damage != nil {
			err = table.Damage
		}
		return table, false, err
	case gpt.Master:
		mbr, err := gpt.ReadMBR(disk, disk.Size())
		if err != nil {
			return nil, false, err
		}
		table, err = mbr.ToGPT(rand.Reader)
		return table, true, err
	}
	return nil, false, errors.New("the image has no partition table: a cloud image with a GPT is wanted")
}

// volumes looks into every partition.
func volumes(disk device, table *gpt.Table) []Volume {
	var list []Volume
	for i := range table.Partitions {
		p := &table.Partitions[i]
		v := Volume{Partition: *p, Offset: table.Offset(p), Size: table.Size(p)}
		v.open(disk)
		list = append(list, v)
	}
	return list
}

// open detects the file system and opens it if it is one of the ext family or FAT.
func (v *Volume) open(disk device) {
	section := io.NewSectionReader(disk, v.Offset, v.Size)
	v.Type, v.Err = rootfs.Detect(section)
	if v.Type == rootfs.LUKS {
		header, err := luks2.Parse(section)
		v.Converted = err == nil && header.Converted()
	}
	if v.Err == nil {
		v.Err = rootfs.Alone(section, v.Type)
	}
	if v.Err != nil {
		return
	}
	switch v.Type {
	case rootfs.Ext4:
		if volume, err := ext4.Open(section, v.Size); err == nil {
			v.FS = volume
		} else {
			v.Err = err
		}
	case rootfs.FAT:
		if volume, err := fat.Open(section, v.Size); err == nil {
			v.FS = volume
		} else {
			v.Err = err
		}
	}
}

// isESP says whether a partition is the EFI system partition, by its type.
func (v *Volume) isESP() bool {
	return v.Type == rootfs.FAT && strings.EqualFold(v.Partition.Type.String(), gpt.TypeESP)
}

// errNoRoot is an image without an operating system that can be converted.
var errNoRoot = errors.New("no root file system")

// findRoot returns the volume with an operating system. What cannot be converted
// is refused by name. An xfs or btrfs cannot be looked into here: it is the root
// if there is no other.
func findRoot(list []Volume) (*Volume, error) {
	var roots, foreign []*Volume
	var problems []error
	for i := range list {
		v := &list[i]
		switch {
		case v.Converted:
			return nil, fmt.Errorf("%w: partition %d is the encrypted root of an image that was converted already: convert the image that it came from", errNoRoot, v.Partition.Number)
		case v.Type == rootfs.LUKS || v.Type == rootfs.LVM || v.Type == rootfs.RAID || v.Type == rootfs.ZFS || v.Type == rootfs.BitLocker:
			problems = append(problems, fmt.Errorf("partition %d holds %s, which is not converted: take an image with its root directly on a partition", v.Partition.Number, v.Type))
		case v.Err != nil:
			problems = append(problems, fmt.Errorf("partition %d: %w", v.Partition.Number, v.Err))
		case v.FS != nil && v.Type != rootfs.FAT && isRoot(v.FS):
			roots = append(roots, v)
		case v.Type == rootfs.XFS || v.Type == rootfs.Btrfs:
			foreign = append(foreign, v)
		}
	}
	if len(roots) == 0 {
		roots = foreign
	}
	switch {
	case len(roots) == 1:
		return roots[0], nil
	case len(roots) > 1:
		return nil, fmt.Errorf("partitions %d and %d may both hold an operating system: take an image with one", roots[0].Partition.Number, roots[1].Partition.Number)
	case len(problems) > 0:
		return nil, fmt.Errorf("%w: %w", errNoRoot, inOneLine(problems))
	}
	return nil, fmt.Errorf("%w: no partition has /etc/os-release, as that of an operating system has", errNoRoot)
}

// inOneLine joins errors for a reader of lines.
func inOneLine(problems []error) error {
	all := problems[0]
	for _, p := range problems[1:] {
		all = fmt.Errorf("%w; %w", all, p)
	}
	return all
}

// isRoot says whether there is os-release, or at least a link to it beside an
// fstab: then /usr is on a partition of its own, which is refused later by name.
func isRoot(fsys fs.FS) bool {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	if info, err := fs.Lstat(fsys, "etc/os-release"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		return false
	}
	info, err := fs.Stat(fsys, "etc/fstab")
	return err == nil && info.Mode().IsRegular()
}

// findBoot returns the volume that the boot loader reads its entries from beside the
// EFI system partition, and that one; each is nil if there is none, or if the root
// has the entries itself or is one that cannot be looked into here. Volumes are told
// by the entries and the kernels that they name, whatever these are called; without
// such, by a kernel's usual name, so that what is missing can be said.
func findBoot(list []Volume, root *Volume) (boot, esp *Volume, err error) {
	esp = findESP(list)
	for _, holds := range []func(osinfo.Input) bool{boots, hasKernel} {
		if root.FS != nil && holds(osinfo.Input{Root: root.FS}) {
			return nil, esp, nil
		}
		for i := range list {
			if v := &list[i]; v != root && !v.isESP() && v.FS != nil && holds(bootAlone(v)) {
				return v, esp, nil
			}
		}
		if esp != nil && holds(osinfo.Input{Root: esp.FS, ESP: esp.FS}) {
			return nil, esp, nil
		}
	}
	if root.FS == nil {
		return nil, esp, nil
	}
	err = errors.New("no kernel: neither /boot of the root nor another partition has a boot entry (grub.cfg, loader/entries, EFI/Linux) with its kernel, or a file vmlinuz-VERSION; install a kernel in the image")
	for i := range list {
		if v := &list[i]; v.Err != nil {
			err = fmt.Errorf("%w; partition %d is not read: %w", err, v.Partition.Number, v.Err)
		}
	}
	return nil, nil, err
}

// findESP returns the EFI system partition, nil for none that can be read.
func findESP(list []Volume) *Volume {
	for i := range list {
		if v := &list[i]; v.isESP() && v.FS != nil {
			return v
		}
	}
	return nil
}

// bootAlone has a look at nothing but a boot volume.
func bootAlone(v *Volume) osinfo.Input { return osinfo.Input{Root: v.FS, Boot: v.FS} }

// boots says whether boot entries name a kernel that is there.
func boots(in osinfo.Input) bool {
	entries, err := bootentry.Read(in.Root, in.Boot, in.ESP)
	if err != nil {
		return false
	}
	for i := range entries {
		if _, _, err := in.Locate(&entries[i], entries[i].Kernel); err == nil {
			return true
		}
	}
	return false
}

// hasKernel says whether a kernel lies at the top of a boot volume, or in /boot of
// the root where there is none.
func hasKernel(in osinfo.Input) bool {
	fsys, dir := in.Root, "."
	if in.Boot == nil && in.ESP == nil {
		dir = "boot"
	}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), "vmlinuz-") })
}
