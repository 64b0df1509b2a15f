package bootentry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bootentry"
)

const fixed = "rdinit=/snpguard/agent root=/dev/mapper/cryptroot panic=1 rd.shell=0 rd.emergency=poweroff noresume" +
	" systemd.import_credentials=no systemd.gpt_auto=no systemd.firstboot=no systemd.ssh_auto=no"

func TestCmdline(t *testing.T) {
	for options, want := range map[string]string{
		"": "",
		"root=PARTUUID=3e39 ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0": "ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0 ",
		"BOOT_IMAGE=/vmlinuz rw  quiet\tsplash":                                                           "rw quiet splash ",
		`dyndbg="file a.c +p" init="/bin/sh x"`:                                                           `dyndbg="file a.c +p" `,
	} {
		got, err := bootentry.Cmdline(options, "")
		if err != nil || got != want+fixed {
			t.Errorf("%q: %q, %v", options, got, err)
		}
	}
	if got, err := bootentry.Cmdline("ro", "quiet ip=dhcp"); err != nil || got != "ro quiet ip=dhcp "+fixed {
		t.Errorf("with an addition: %q, %v", got, err)
	}
}

// Each of these would let the host or a disk steer what boots.
func TestSteeringIsDropped(t *testing.T) {
	for _, arg := range strings.Fields(`root=/dev/sda1 init=/bin/sh rdinit=/bin/sh resume=/dev/sda2 resume_offset=1 break break=premount rd.break=pre-mount
		rd.shell rd.shell=1 rd.emergency=reboot systemd.debug-shell systemd.debug_shell=1 rd.systemd.debug_shell systemd.unit=rescue.target single S s 1 -b emergency
		systemd.import-credentials=yes systemd.set_credential=a:b systemd.gpt_auto=yes systemd.run=/x "init=/bin/sh" init="/bin/sh" panic=0 rd.cmdline=ask
		systemd.wants=debug-shell.service netroot=nbd:1.2.3.4 initrd=/x SYSTEMD_SULOGIN_FORCE=1
		kgdboc=ttyS0 ekgdboc=kbd kgdbwait kgdbcon sysrq_always_enabled
		-s rd.rescue systemd.setenv=SYSTEMD_SULOGIN_FORCE=1 'systemd.debug_shell' boot=nfs nfsroot=1.2.3.4:/x overlayroot=device:dev=/dev/vdb
		mount.usr=/dev/vdb1 systemd.mount-extra=/dev/vdb:/etc systemd.swap_extra=/dev/vdb rd.live.overlay=/dev/vdb luks.uuid=1 rd.luks.name=1=x
		rootfstype=tmpfs systemd.ssh-auto=yes systemd.pull=x:http://1.2.3.4/x roothash=1 kgdboc=ttyS0 kgdbwait systemd.confirm_spawn=ttyS0
		cloud-config-url=http://1.2.3.4/ url=http://1.2.3.4/ ds=nocloud;s=http://1.2.3.4/ ci.ds=NoCloud ci.datasource=Ec2 cc: cc:{runcmd:[x]}`) {
		got, err := bootentry.Cmdline("ro "+arg+" quiet", "")
		if err != nil || got != "ro quiet "+fixed {
			t.Errorf("%s: %q, %v", arg, got, err)
		}
		if _, err := bootentry.Cmdline("ro", arg); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s was added: %v", arg, err)
		}
	}
}

func TestUnfitCmdlinesAreRefused(t *testing.T) {
	for name, options := range map[string]string{
		"newline":    "ro\nquiet",
		"NUL":        "ro\x00",
		"not ASCII":  "a=é",
		"quote":      `a="b c`,
		"dashes":     "ro -- init=/bin/sh",
		"quoted tab": "a=\"b\tc\"",
		"too long":   strings.Repeat("a", bootentry.MaxCmdline-len(fixed)),
	} {
		if _, err := bootentry.Cmdline(options, ""); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bootentry.Cmdline("", options); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s, added: %v", name, err)
		}
	}
	longest := strings.Repeat("a", bootentry.MaxCmdline-len(fixed)-1)
	if got, err := bootentry.Cmdline(longest, ""); err != nil || len(got) != bootentry.MaxCmdline {
		t.Errorf("the longest: %d bytes, %v", len(got), err)
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add(`ro console=ttyS0 a="b c"`, "quiet")
	f.Fuzz(func(t *testing.T, options, extra string) {
		line, err := bootentry.Cmdline(options, extra)
		if err != nil {
			return
		}
		if !strings.HasSuffix(line, fixed) || len(line) > bootentry.MaxCmdline {
			t.Errorf("%q", line)
		}
		again, err := bootentry.Cmdline(strings.TrimSuffix(line, fixed), "")
		if err != nil || again != line {
			t.Errorf("%q became %q, %v", line, again, err)
		}
	})
}
