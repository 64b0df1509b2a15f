package initrd

import "github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"

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
