package harden_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content), Mode: 0o644} }

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

// debian is shaped after Debian's cloud image.
func debian() fstest.MapFS {
	return fstest.MapFS{
		"etc/fstab": file("# static\nPARTUUID=3e39 / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n" +
			"PARTUUID=11d2 /boot/efi vfat defaults 0 0\n"),
		"etc/shadow":                                                             file("root:*:20780:0:99999:7:::\nsshd:!*:20780::::::\n"),
		"etc/ssh/sshd_config":                                                    file("Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\n"),
		"etc/cloud/cloud.cfg":                                                    file("users:\n   - default\n"),
		"etc/cloud/cloud.cfg.d/x":                                                file(""),
		"etc/cloud/cloud.cfg.d/01_debian_cloud.cfg":                              file("apt: {}\n"),
		"usr/lib/systemd/system/qemu-guest-agent.service":                        file("[Service]\n"),
		"usr/lib/systemd/system/getty@.service":                                  file("[Service]\nExecStart=-/sbin/agetty -o '-- \\\\u' --noreset --noclear - $TERM\n"),
		"usr/lib/systemd/system/debug-shell.service":                             file("[Service]\n"),
		"etc/systemd/system/getty.target.wants/getty@tty1.service":               link("/usr/lib/systemd/system/getty@.service"),
		"etc/systemd/system/multi-user.target.wants/unattended-upgrades.service": link("/nowhere"),
	}
}

func codes(all []harden.Finding) (list []string) {
	for _, f := range all {
		mended := ""
		if f.Mended {
			mended = ", mended"
		}
		list = append(list, f.Code+mended)
	}
	return list
}

func TestDebian(t *testing.T) {
	all, err := harden.Inspect(debian(), harden.Options{})
	if want := []string{"host-channel, mended", "cloud-init, mended", "unencrypted-mount, mended"}; err != nil || !slices.Equal(codes(all), want) {
		t.Errorf("%q, %v", codes(all), err)
	}
	all, err = harden.Inspect(debian(), harden.Options{CloudInit: harden.CloudInitKeep})
	if err != nil || codes(all)[1] != "cloud-init" {
		t.Errorf("cloud-init kept: %q, %v", codes(all), err)
	}
}

// Each case adds a file and names what must be found then, and no more.
func TestInspect(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		with *fstest.MapFile
		want string
	}{
		"password":             {"etc/shadow", file("root:$y$j9T$x:1::::::\n"), "console-password"},
		"empty password":       {"etc/shadow", file("debian::1::::::\n"), "empty-password"},
		"autologin":            {"etc/systemd/system/serial-getty@ttyS0.service.d/a.conf", file("[Service]\nExecStart=-/sbin/agetty --autologin root %I\n"), "autologin"},
		"autologin, template":  {"etc/systemd/system/getty@.service.d/o.conf", file("ExecStart=-/sbin/agetty -a root %I\n"), "autologin"},
		"autologin, unit":      {"etc/systemd/system/console-getty.service", file("ExecStart=/sbin/agetty --autologin=root\n"), "autologin"},
		"autologin, inittab":   {"etc/inittab", file("T0:23:respawn:/sbin/getty -n -l /bin/sh ttyS0\n"), "autologin"},
		"ssh, no password":     {"etc/ssh/sshd_config", file("PermitEmptyPasswords yes\n"), "ssh-empty-passwords"},
		"ssh, root":            {"etc/ssh/sshd_config.d/a.conf", file("permitrootlogin=yes\n"), "ssh-root-password"},
		"ssh, passwords":       {"etc/ssh/sshd_config", file("PasswordAuthentication yes\nPasswordAuthentication no\n"), "ssh-passwords"},
		"debug shell":          {"etc/systemd/system/sysinit.target.wants/debug-shell.service", link("/usr/lib/systemd/system/debug-shell.service"), "debug-shell, mended"},
		"emergency shell":      {"etc/systemd/system/emergency.service.d/f.conf", file("Environment=SYSTEMD_SULOGIN_FORCE=1\n"), "emergency-shell"},
		"kdump":                {"etc/systemd/system/multi-user.target.wants/kdump-tools.service", link("/x"), "kdump"},
		"host key":             {"etc/ssh/ssh_host_ed25519_key", file("secret"), "ssh-host-key"},
		"vmware":               {"etc/systemd/system/open-vm-tools.service", file("[Service]"), "host-channel, mended"},
		"password in passwd":   {"etc/passwd", file("root:x:0:0::/root:/bin/sh\nadmin::0:0::/root:/bin/sh\n"), "empty-password"},
		"ssh, keys by program": {"etc/ssh/sshd_config", file("AuthorizedKeysCommand /usr/bin/google_authorized_keys\n"), "ssh-keys-command"},
		"ssh, root's keys":     {"root/.ssh/authorized_keys", file("# x\nssh-ed25519 AAAA a@b\n"), "ssh-authorized-keys"},
		"ssh, a user's keys":   {"home/debian/.ssh/authorized_keys2", file("ssh-ed25519 AAAA a@b\n"), "ssh-authorized-keys"},
		"host's directory":     {"etc/fstab", file("/dev/sda1 / ext4\nshare /etc/ssh virtiofs defaults\n"), "host-mount, mended"},
		"swap named like zram": {"etc/fstab", file("/dev/sda1 / ext4\n/dev/zram0p1 none swap sw 0 0\n"), "unencrypted-swap, mended"},
		"swap":                 {"etc/fstab", file("/dev/sda1 / ext4\n/dev/sda2 none swap sw 0 0\n"), "unencrypted-swap, mended"},
		"zram to a disk":       {"etc/systemd/zram-generator.conf", file("[zram0]\nwriteback-device=/dev/vdb\n"), "unencrypted-swap"},
		"network mount":        {"etc/fstab", file("/dev/sda1 / ext4\nserver:/x /x nfs\n"), "network-mount"},
		"crypttab":             {"etc/crypttab", file("data UUID=1 none luks\n"), "crypttab"},
	} {
		root := debian()
		before := []string{"host-channel, mended", "cloud-init, mended", "unencrypted-mount, mended"}
		if test.file == "etc/fstab" {
			before = before[:2]
		}
		root[test.file] = test.with
		all, err := harden.Inspect(root, harden.Options{})
		got := codes(all)
		for _, code := range before {
			if at := slices.Index(got, code); at >= 0 {
				got = slices.Delete(got, at, at+1)
			}
		}
		if err != nil || !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: also found %q, %v", name, got, err)
		}
	}
}

func TestQuiet(t *testing.T) {
	for name, change := range map[string]func(fstest.MapFS){
		"masked agent":   func(r fstest.MapFS) { r["etc/systemd/system/qemu-guest-agent.service"] = link("/dev/null") },
		"no agent":       func(r fstest.MapFS) { delete(r, "usr/lib/systemd/system/qemu-guest-agent.service") },
		"cloud-init off": func(r fstest.MapFS) { r["etc/cloud/cloud-init.disabled"] = file("") },
		"no source":      func(r fstest.MapFS) { r["etc/cloud/cloud.cfg.d/50.cfg"] = file("datasource_list: [ None ]\n") },
		"no unencrypted mount": func(r fstest.MapFS) {
			r["etc/fstab"] = file("/dev/sda1 / ext4\n/swap.img none swap\n/dev/zram0 none swap\n/dev/zram12 /tmp ext4\ntmpfs /tmp tmpfs\n")
		},
		"ssh, conditional": func(r fstest.MapFS) {
			r["etc/ssh/sshd_config"] = file("PasswordAuthentication no\nMatch User x\nPasswordAuthentication no\n")
			delete(r, "etc/fstab")
		},
		"ssh, overridden before": func(r fstest.MapFS) {
			r["etc/ssh/sshd_config.d/a.conf"] = file("PermitRootLogin no\n")
			r["etc/ssh/sshd_config"] = file("Include sshd_config.d/*.conf\nPermitRootLogin yes\n")
			delete(r, "etc/fstab")
		},
	} {
		root := debian()
		change(root)
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil || len(all) != 2 {
			t.Errorf("%s: %q, %v", name, codes(all), err)
		}
	}
}

func edit(tb testing.TB, root fs.FS, o harden.Options, path string) *harden.Edit {
	tb.Helper()
	edits, err := harden.Edits(root, o)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range edits {
		if e.Path == path {
			return &e
		}
	}
	return nil
}

func TestFstab(t *testing.T) {
	for name, test := range map[string]struct{ before, after string }{
		"debian": {
			"# static\nPARTUUID=3e39 / ext4 rw,discard,errors=remount-ro 0 1\nPARTUUID=11d2 /boot/efi vfat defaults 0 0\n",
			"# static\n/dev/mapper/cryptroot / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n# not encrypted, so not mounted: PARTUUID=11d2 /boot/efi vfat defaults 0 0\n",
		},
		"ubuntu": {
			"LABEL=cloudimg-rootfs\t/\t ext4\tdiscard,commit=30\t0 1\nLABEL=BOOT /boot ext4 defaults 0 2\nLABEL=UEFI /boot/efi vfat umask=0077 0 1",
			"/dev/mapper/cryptroot / ext4 discard,commit=30,x-systemd.growfs 0 1\n# not encrypted, so not mounted: LABEL=BOOT /boot ext4 defaults 0 2\n# not encrypted, so not mounted: LABEL=UEFI /boot/efi vfat umask=0077 0 1\n",
		},
		"btrfs": {
			"UUID=1 / btrfs subvol=root 0 0\nUUID=1 /home btrfs subvol=home 0 0\nUUID=2 none swap sw 0 0\n",
			"/dev/mapper/cryptroot / btrfs subvol=root,x-systemd.growfs 0 0\n/dev/mapper/cryptroot /home btrfs subvol=home 0 0\n# not encrypted, so not mounted: UUID=2 none swap sw 0 0\n",
		},
		"what stays": {
			"/dev/vda1 / xfs\n/swap.img none swap sw 0 0\n/dev/zram0 none swap defaults,pri=100 0 0\ntmpfs /tmp tmpfs size=1G 0 0\nserver:/x /x nfs\n/home /srv none bind\n",
			"/dev/mapper/cryptroot / xfs defaults,x-systemd.growfs 0 0\n/swap.img none swap sw 0 0\n/dev/zram0 none swap defaults,pri=100 0 0\ntmpfs /tmp tmpfs size=1G 0 0\nserver:/x /x nfs\n/home /srv none bind\n",
		},
		"again": {
			"/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs,discard 0 1\n", "/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs,discard 0 1\n",
		},
		"what the owner said of checks": {"/dev/vda1 / ext4 rw 0 0\n", "/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs 0 0\n"},
		"nothing said of checks":        {"/dev/vda1 / ext4 rw\n", "/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs 0 1\n"},
		"half said of checks":           {"/dev/vda1 / ext4 rw 1\n", "/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs 1 1\n"},
		"what does not grow":            {"/dev/vda1 / ext3 rw\n", "/dev/mapper/cryptroot / ext3 rw\n"},
		"host's directory and a mapping of another name": {
			"/dev/vda1 / ext4 rw 0 1\nshare /etc/ssh 9p trans=virtio\n/dev/mapper/cryptroot-home /home ext4\n",
			"/dev/mapper/cryptroot / ext4 rw,x-systemd.growfs 0 1\n# not encrypted, so not mounted: share /etc/ssh 9p trans=virtio\n# not encrypted, so not mounted: /dev/mapper/cryptroot-home /home ext4 defaults\n",
		},
		"empty": {"", "/dev/mapper/cryptroot / auto defaults,x-systemd.growfs 0 1\n"},
	} {
		e := edit(t, fstest.MapFS{"etc/fstab": file(test.before)}, harden.Options{}, "etc/fstab")
		if e == nil || string(e.Content) != test.after || e.Mode != 0o644 {
			t.Errorf("%s:\n%s\nwant\n%s", name, e.Content, test.after)
		}
	}
}

func TestCloudInitIsRestricted(t *testing.T) {
	const dir = "etc/cloud/cloud.cfg.d/"
	e := edit(t, debian(), harden.Options{}, dir+"99-snpguard.cfg")
	if e == nil || !strings.HasSuffix(string(e.Content), "\ndatasource_list: [ None ]\n") {
		t.Errorf("by default: %+v", e)
	}
	if e := edit(t, debian(), harden.Options{CloudInit: "NoCloud, Ec2"}, dir+"99-snpguard.cfg"); e == nil || !strings.HasSuffix(string(e.Content), "[ NoCloud, Ec2 ]\n") {
		t.Errorf("a list: %+v", e)
	}
	if e := edit(t, debian(), harden.Options{CloudInit: harden.CloudInitKeep}, dir+"99-snpguard.cfg"); e != nil {
		t.Errorf("kept: %+v", e)
	}
	if e := edit(t, fstest.MapFS{}, harden.Options{}, dir+"99-snpguard.cfg"); e != nil {
		t.Errorf("without cloud-init: %+v", e)
	}
	root := debian()
	root[dir+"99_local.cfg"] = file("datasource_list: [ NoCloud ]\n")
	if edit(t, root, harden.Options{}, dir+"zz-snpguard.cfg") == nil {
		t.Error("a file that sorts behind 99-snpguard.cfg would win")
	}
	root[dir+"zzzzz.cfg"] = file("")
	if _, err := harden.Edits(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("nothing sorts last: %v", err)
	}
	if _, err := harden.Edits(debian(), harden.Options{CloudInit: "None ]\nruncmd: [ x"}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("a strange list: %v", err)
	}
}

func TestOtherEdits(t *testing.T) {
	o := harden.Options{Agent: true}
	for path, target := range map[string]string{
		"etc/systemd/system/qemu-guest-agent.service": "/dev/null",
		"etc/systemd/system/debug-shell.service":      "/dev/null",
		"usr/bin/snpguard-agent":                      "/run/snpguard/agent",
	} {
		if e := edit(t, debian(), o, path); e == nil || e.Target != target {
			t.Errorf("%s: %+v", path, e)
		}
	}
	for path, mode := range map[string]uint32{
		"etc/kernel/postinst.d/zz-snpguard":  0o755,
		"etc/udev/rules.d/59-snpguard.rules": 0o644,
		"etc/udev/rules.d/62-snpguard.rules": 0o644,
	} {
		if e := edit(t, debian(), o, path); e == nil || e.Mode != mode || len(e.Content) == 0 {
			t.Errorf("%s: %+v", path, e)
		}
	}
	if e := edit(t, debian(), o, "etc/systemd/system/open-vm-tools.service"); e != nil {
		t.Errorf("what is not there was masked: %+v", e)
	}
	if e := edit(t, debian(), harden.Options{}, "usr/bin/snpguard-agent"); e != nil {
		t.Errorf("no agent: %+v", e)
	}
}

func TestHugeFilesAreRefused(t *testing.T) {
	root := debian()
	root["etc/shadow"] = file(strings.Repeat("#\n", 2<<20+1))
	if _, err := harden.Inspect(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	root = debian()
	root["etc/fstab"] = file("a\x00b")
	if _, err := harden.Edits(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("binary fstab: %v", err)
	}
}

// What the edits make of an image needs no more edits of that kind.
func TestMendedIsMended(t *testing.T) {
	root := debian()
	edits, err := harden.Edits(root, harden.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		if e.Target != "" {
			root[e.Path] = link(e.Target)
		} else {
			root[e.Path] = file(string(e.Content))
		}
	}
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || len(all) != 0 {
		t.Errorf("after the edits: %+v, %v", all, err)
	}
}

// Cloud-init without a configuration of its own asks every data source.
func TestCloudInitWithoutConfigurationIsRestricted(t *testing.T) {
	root := fstest.MapFS{"usr/bin/cloud-init": file("")}
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || !slices.Equal(codes(all), []string{"cloud-init, mended"}) {
		t.Errorf("%q, %v", codes(all), err)
	}
	if e := edit(t, root, harden.Options{}, "etc/cloud/cloud.cfg.d/99-snpguard.cfg"); e == nil {
		t.Error("it was not restricted")
	}
}

// What is behind the last name that is read would count instead of ours.
func TestTooManyFilesOfCloudInit(t *testing.T) {
	root := fstest.MapFS{"etc/cloud/cloud.cfg": file("")}
	for n := range 4097 {
		root[fmt.Sprintf("etc/cloud/cloud.cfg.d/%04d.cfg", n)] = file("")
	}
	if _, err := harden.Edits(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("edits: %v", err)
	}
	if _, err := harden.Inspect(root, harden.Options{}); !errors.Is(err, harden.ErrMalformed) {
		t.Errorf("inspect: %v", err)
	}
}

// strictFS is a file system that says what it means, as ext4 does.
type strictFS struct{ fstest.MapFS }

func (s strictFS) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "home/file/") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
	}
	return s.MapFS.Open(name)
}

// A file where a home is looked for has no keys, and is no reason to stop.
func TestFileAmongHomes(t *testing.T) {
	root := strictFS{fstest.MapFS{"home/file": file(""), "home/me/.ssh/authorized_keys": file("ssh-ed25519 AAAA\n")}}
	if all, err := harden.Inspect(root, harden.Options{}); err != nil || !slices.Equal(codes(all), []string{"ssh-authorized-keys"}) {
		t.Errorf("%q, %v", codes(all), err)
	}
}
