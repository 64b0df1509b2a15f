package harden_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/harden"
)

func FuzzFstab(f *testing.F) {
	f.Add("PARTUUID=3e39 / ext4 rw 0 1\n/dev/sda2 none swap sw 0 0\n")
	f.Fuzz(func(t *testing.T, content string) {
		root := fstest.MapFS{"etc/fstab": file(content)}
		edits, err := harden.Edits(root, harden.Options{})
		if err != nil {
			return
		}
		root["etc/fstab"] = file(string(edits[0].Content))
		again, err := harden.Edits(root, harden.Options{})
		if err != nil || string(again[0].Content) != string(edits[0].Content) {
			t.Errorf("%q became %q, then %q, %v", content, edits[0].Content, again[0].Content, err)
		}
	})
}

// FuzzInspect reads the files by which a host gets in. What it says of them is fit
// for a terminal, and edits mend what it says they do.
func FuzzInspect(f *testing.F) {
	f.Add("root::1::::::\n", "PermitRootLogin yes\nPasswordAuthentication yes\n", "datasource_list: [ NoCloud, None ]\n", "[Service]\nExecStart=-/sbin/agetty --autologin root\n", "a b ext4 rw 0 0\n")
	f.Add("x:\x1b[2J:\n", "Match User x\n", "datasource_list:\n- Ec2\n", "[Service]\nExecStart=\\\n", "\x00\n")
	f.Fuzz(func(t *testing.T, shadow, sshd, cloud, unit, fstab string) {
		root := debian()
		root["etc/shadow"], root["etc/ssh/sshd_config"], root["etc/fstab"] = file(shadow), file(sshd), file(fstab)
		root["etc/cloud/cloud.cfg.d/90_dpkg.cfg"], root["etc/systemd/system/getty@.service"] = file(cloud), file(unit)
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil {
			return
		}
		for _, found := range all {
			if text := found.Path + found.Detail; strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%q", text)
			}
		}
		edits, err := harden.Edits(root, harden.Options{})
		if err != nil {
			return
		}
		for _, e := range edits {
			if e.Content != nil {
				root[strings.TrimPrefix(e.Path, "/")] = file(string(e.Content))
			}
		}
		again, err := harden.Inspect(root, harden.Options{})
		if err != nil {
			t.Fatalf("after the edits: %v", err)
		}
		for _, found := range again {
			if found.Code == "unencrypted-mount" {
				t.Errorf("%+v is left of %q", found, fstab)
			}
		}
	})
}

// FuzzCloudInit reads what steers cloud-init. After the edits the list of data
// sources is closed, or the image is said to steer cloud-init past it.
func FuzzCloudInit(f *testing.F) {
	f.Add("users: []\n", "datasource_list: [ NoCloud, None ]\n", "policy: enabled\ndatasource: Ec2\n", "[Service]\nEnvironment=CLOUD_CFG=/x\n")
	f.Add("<<: [{a: b}]\nconf_d: x\n", "## template: jinja\n", "data\\\nsource: x", "[Service]\nExecStart=sh -c 'x $Y ${Z}'\\\n")
	f.Fuzz(func(t *testing.T, config, last, identify, dropIn string) {
		root := closed()
		root["etc/cloud/cloud.cfg"], root["etc/cloud/cloud.cfg.d/zz.cfg"] = file(config), file(last)
		root["etc/cloud/ds-identify.cfg"], root["etc/systemd/system/cloud-init.service.d/x.conf"] = file(identify), file(dropIn)
		for _, edited := range []bool{false, true} {
			if edited {
				apply(t, root, harden.Options{})
			}
			all, err := harden.Inspect(root, harden.Options{CloudInit: harden.CloudInitKeep})
			if err != nil {
				return
			}
			for _, found := range all {
				if text := found.Path + found.Detail; strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
					t.Errorf("%q", text)
				}
				if edited && found.Code == "cloud-init" {
					t.Errorf("after the edits: %+v", found)
				}
			}
		}
	})
}

// FuzzSSHD reads what decides the command line of sshd, and its configuration.
func FuzzSSHD(f *testing.F) {
	f.Add(sshUnit, "[Service]\nExecStart=\nExecStart=sh -c 'sshd ${A} \"$B\"'\\\n", "SSHD_OPTS='-Do \"PermitRootLogin yes\" -f x'\n", includeAll+"Match all\nAuthorizedKeysFile %h/x /y/%u\n")
	f.Add("[Service]\nExecStart=-/usr/sbin/sshd -o", "[Service]\nEnvironmentFile=-/etc/*\n", "A=\\", "Include sshd_config\n=\n\"a\" b\n")
	f.Fuzz(func(t *testing.T, unit, dropIn, env, config string) {
		root := server()
		root["usr/lib/systemd/system/ssh.service"], root["etc/systemd/system/ssh.service.d/x.conf"] = file(unit), file(dropIn)
		root["etc/default/ssh"], root["etc/ssh/sshd_config"] = file(env), file(config)
		all, err := harden.Inspect(root, harden.Options{})
		if err != nil {
			return
		}
		for _, found := range all {
			if text := found.Path + found.Detail; strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("%q", text)
			}
		}
	})
}
