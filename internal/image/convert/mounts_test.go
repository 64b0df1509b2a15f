package convert

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// named is a file system of which only the names matter.
type named struct {
	rootfs.Volume
	uuid, label string
	fstest.MapFS
}

func (n named) UUID() string  { return n.uuid }
func (n named) Label() string { return n.label }

func (n named) ReadDir(name string) ([]fs.DirEntry, error) { return n.MapFS.ReadDir(name) }
func (n named) Open(name string) (fs.File, error)          { return n.MapFS.Open(name) }
func (n named) Stat(name string) (fs.FileInfo, error)      { return n.MapFS.Stat(name) }
func (n named) Lstat(name string) (fs.FileInfo, error)     { return n.MapFS.Lstat(name) }
func (n named) ReadLink(name string) (string, error)       { return n.MapFS.ReadLink(name) }

// mounting is an image with a root (1), a boot partition (2), data (3) and some
// xfs (4), where that is wanted.
func mounting(xfs bool) *source {
	kernel := fstest.MapFS{"vmlinuz-1": {}}
	s := &source{list: []Volume{
		{Partition: gpt.Partition{Number: 1, GUID: gpt.GUID{1}, Name: "root"}, Type: rootfs.Ext4, FS: named{uuid: "r-1", label: "ROOT"}},
		{Partition: gpt.Partition{Number: 2, GUID: gpt.GUID{2}, Name: "boot"}, Type: rootfs.Ext4, FS: named{uuid: "b-2", label: "BOOT", MapFS: kernel}},
		{Partition: gpt.Partition{Number: 3, GUID: gpt.GUID{3}, Name: "data"}, Type: rootfs.Ext4, FS: named{uuid: "d-3", label: "DATA"}},
		{Partition: gpt.Partition{Number: 5, GUID: gpt.GUID{5}}, Type: rootfs.FAT},
	}}
	if xfs {
		s.list = append(s.list, Volume{Partition: gpt.Partition{Number: 4, GUID: gpt.GUID{4}, Name: "x"}, Type: rootfs.XFS})
	}
	s.root = &s.list[0]
	return s
}

func TestFollowMounts(t *testing.T) {
	guid := gpt.GUID{3}.String()
	for line, test := range map[string]struct {
		xfs, mbr bool
		boot     int    // partition that is taken for /boot
		lost     string // what the error names; "" for none
	}{
		"":                                  {},
		"LABEL=BOOT /boot ext4":             {boot: 2},
		"UUID=B-2 /boot ext4":               {boot: 2},
		"/dev/vda2 /boot ext4":              {boot: 2},
		"LABEL=DATA /boot ext4":             {}, // no kernel there
		"UUID=5555 /boot/efi vfat":          {},
		"/dev/sda5 /efi vfat":               {},
		"/dev/sda3 none swap":               {},
		"UUID=d-3 /home ext4":               {lost: `partition 3 (ext4) on "/home"`},
		"LABEL=DATA /var auto noauto":       {lost: `partition 3 (ext4) on "/var"`},
		"PARTUUID=" + guid + " /srv auto":   {lost: `partition 3 (ext4) on "/srv"`},
		"PARTLABEL=data /usr auto":          {lost: `partition 3 (ext4) on "/usr"`},
		"/dev/disk/by-uuid/d-3 /home auto":  {lost: `partition 3 (ext4) on "/home"`},
		"/dev/disk/by-label/DATA /a auto":   {lost: `partition 3 (ext4) on "/a"`},
		"/dev/nvme0n1p3 /home auto":         {lost: `partition 3 (ext4) on "/home"`},
		"PARTUUID=12345678-03 /home auto":   {mbr: true, lost: `partition 3 (ext4) on "/home"`},
		"PARTUUID=12345678-09 /home auto":   {mbr: true},
		"UUID=unknown /var xfs":             {xfs: true, lost: `"UUID=unknown" on "/var", which may be partition 4 (xfs)`},
		"/dev/mapper/vg-home /home ext4":    {xfs: true, lost: "may be partition 4"},
		"/dev/vdb /mnt auto nofail":         {},
		"UUID=unknown /mnt auto nofail":     {},
		"PARTUUID=unknown /mnt auto nofail": {xfs: true},
		"LABEL=ROOT /mnt ext4":              {lost: "means the root"},
	} {
		s := mounting(test.xfs)
		s.converted = test.mbr
		notes, err := s.followMounts(fstest.MapFS{"etc/fstab": {Data: []byte("UUID=r-1 / ext4 defaults 0 1\n" + line + "\n")}})
		if (err == nil) != (test.lost == "") || err != nil && !strings.Contains(err.Error(), test.lost) {
			t.Errorf("%s: %v", line, err)
		}
		got := 0
		if s.boot != nil {
			got = s.boot.Partition.Number
		}
		if got != test.boot {
			t.Errorf("%s: /boot is partition %d", line, got)
		}
		if err == nil && !strings.Contains(strings.Join(notes, "\n"), "partition 3 (ext4) is not mounted by fstab") {
			t.Errorf("%s: what is left behind is not told: %q", line, notes)
		}
	}
}
