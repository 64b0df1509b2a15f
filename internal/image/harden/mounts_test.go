package harden_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

func TestMounts(t *testing.T) {
	root := fstest.MapFS{"etc/fstab": file(`# comment
UUID=1 / btrfs subvol=root 0 0
UUID=1 /home btrfs subvol=home 0 0
LABEL=BOOT /boot ext4 defaults 0 2
UUID="2" /var xfs defaults 0 2
/dev/sda3 /srv/a\040b auto nofail
LABEL=my\040data /data ext4
UUID=3 none swap sw 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
tmpfs /tmp tmpfs
server:/x /x nfs
/home /mnt none bind
/dev/mapper/cryptroot /opt btrfs subvol=opt
odd\0 line
`)}
	got, err := harden.Mounts(root)
	want := []harden.Mount{
		{Source: "LABEL=BOOT", Target: "/boot", Kind: "ext4"},
		{Source: "UUID=2", Target: "/var", Kind: "xfs"},
		{Source: "/dev/sda3", Target: "/srv/a b", Kind: "auto"},
		{Source: "LABEL=my data", Target: "/data", Kind: "ext4"},
		{Source: "/dev/sr0", Target: "/media/cdrom0", Kind: "udf,iso9660"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if got, err := harden.Mounts(fstest.MapFS{}); err != nil || len(got) != 0 {
		t.Errorf("without fstab: %+v, %v", got, err)
	}
	root["etc/fstab"] = file(strings.Repeat("#\n", 2<<20+1))
	if _, err := harden.Mounts(root); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("huge: %v", err)
	}
}

func TestSeparateUsr(t *testing.T) {
	for content, want := range map[string]string{
		"LABEL=r / ext4\n":                                         "",
		"LABEL=r / ext4\nLABEL=u /usr ext4\n":                      "LABEL=u",
		"UUID=1 / btrfs subvol=@\nUUID=1 /usr/ btrfs subvol=usr\n": "UUID=1",
		"x /usr/local ext4\n#x /usr ext4\n":                        "",
	} {
		if got, err := harden.SeparateUsr(fstest.MapFS{"etc/fstab": file(content)}); err != nil || got != want {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
	if _, err := harden.SeparateUsr(fstest.MapFS{"etc/fstab": file(strings.Repeat("#\n", 2<<20+1))}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("huge: %v", err)
	}
}
