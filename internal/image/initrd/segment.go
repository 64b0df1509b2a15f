package initrd

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// PathUdevRule is where the rule that names the root device lies: systemd's udev
// reads it in any initrd. Its number puts it behind the rules of an image that
// has device mapper's own (55-dm.rules) and before 60-persistent-storage.rules.
const PathUdevRule = "/etc/udev/rules.d/59-snpguard.rules"

// UdevRule tells udev that the device which the agent made is cryptroot: without
// device mapper's rules systemd ignores dm devices that have no name.
const UdevRule = `SUBSYSTEM=="block", KERNEL=="dm-*", ATTR{dm/name}=="` + bootconf.MapperName + `", ENV{DM_NAME}="` +
	bootconf.MapperName + `", SYMLINK+="mapper/` + bootconf.MapperName + `"` + "\n"

// PathUdevForeign is where the rules for all other disks lie: behind those that
// look at what is on a disk (60, 61), before those that act on it (63 on).
const PathUdevForeign = "/etc/udev/rules.d/62-snpguard.rules"

// UdevForeign hides from udev what other disks hold, so that it assembles nothing
// of theirs: a volume group named "mapper" with a volume "cryptroot" would take
// the root's name, and a btrfs with the root's UUID would be mounted with it or in
// its place. The root's own names win over those of disks that hold the same: RAID
// has priority 100.
const UdevForeign = `SUBSYSTEM=="block", ENV{DM_NAME}!="` + bootconf.MapperName + `", ENV{ID_FS_TYPE}=""
SUBSYSTEM=="block", ENV{DM_NAME}=="` + bootconf.MapperName + `", OPTIONS+="link_priority=1000"
SUBSYSTEM=="block", ENV{DM_NAME}=="` + bootconf.MapperName + `", IMPORT{builtin}="blkid"
SUBSYSTEM=="block", ENV{DM_NAME}=="` + bootconf.MapperName + `", ENV{ID_FS_UUID_ENC}=="?*", SYMLINK+="disk/by-uuid/$env{ID_FS_UUID_ENC}"
SUBSYSTEM=="block", ENV{DM_NAME}=="` + bootconf.MapperName + `", ENV{ID_FS_LABEL_ENC}=="?*", SYMLINK+="disk/by-label/$env{ID_FS_LABEL_ENC}"
`

// pathBtrfsScan is what initramfs-tools runs before it mounts the root, where an
// image has btrfs-progs: it tells the kernel of every btrfs on every disk, whatever
// udev hides.
const pathBtrfsScan = "/scripts/local-premount/btrfs"

// noBtrfsScan stands in its place: the root is one device, which mount names.
const noBtrfsScan = "#!/bin/sh\nexit 0\n"

// Segment is what goes into the archive.
type Segment struct {
	Agent   []byte        // the program
	Config  []byte        // config.json, as bootconf encodes it
	Modules []kmod.Module // in load order
}

// ModuleFiles returns the names that the modules have below bootconf.DirModules,
// in load order, for the configuration: "00-dm_mod.ko", "01-dm_crypt.ko".
func ModuleFiles(modules []kmod.Module) []string {
	names := make([]string, 0, len(modules))
	for i, m := range modules {
		names = append(names, fmt.Sprintf("%02d-%s.ko", i, m.Name))
	}
	return names
}

// item is an entry of the archive.
type item struct {
	name    string // without a leading slash
	mode    uint32
	content []byte
}

// items returns the segment's files and the directories they need, sorted by
// name, so that a directory comes before what is in it.
func (s Segment) items() ([]item, error) {
	if len(s.Agent) == 0 || len(s.Config) == 0 || len(s.Config) > bootconf.MaxSize {
		return nil, fmt.Errorf("%w: agent of %d bytes, configuration of %d", ErrMalformed, len(s.Agent), len(s.Config))
	}
	files := []item{
		{bootconf.PathAgent, cpio.ModeRegular | 0o755, s.Agent},
		{bootconf.PathConfig, cpio.ModeRegular | 0o644, s.Config},
		{PathUdevRule, cpio.ModeRegular | 0o644, []byte(UdevRule)},
		{PathUdevForeign, cpio.ModeRegular | 0o644, []byte(UdevForeign)},
		{pathBtrfsScan, cpio.ModeRegular | 0o755, []byte(noBtrfsScan)},
	}
	for i, name := range ModuleFiles(s.Modules) {
		if path.Base(name) != name {
			return nil, fmt.Errorf("%w: module %.100q", ErrMalformed, name)
		}
		files = append(files, item{path.Join(bootconf.DirModules, name), cpio.ModeRegular | 0o644, s.Modules[i].Data})
	}
	all := []item{{bootconf.DirModules, cpio.ModeDir | 0o755, nil}}
	for _, f := range files {
		all = append(all, f)
		for dir := path.Dir(f.name); dir != "/"; dir = path.Dir(dir) {
			all = append(all, item{dir, cpio.ModeDir | 0o755, nil})
		}
	}
	for i := range all {
		all[i].name = strings.TrimPrefix(all[i].name, "/")
	}
	byName := func(a, b item) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(all, byName)
	return slices.CompactFunc(all, func(a, b item) bool { return a.name == b.name }), nil
}

// writeArchive writes the segment uncompressed: root owns everything, and all
// times are 0.
func (s Segment) writeArchive(w io.Writer) error {
	items, err := s.items()
	if err != nil {
		return err
	}
	archive := cpio.NewWriter(w)
	for _, i := range items {
		if err := archive.Add(cpio.Header{Name: i.name, Mode: i.mode}, i.content); err != nil {
			return err
		}
	}
	return archive.Close()
}
