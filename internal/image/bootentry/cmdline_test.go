package bootentry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootentry"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

const fixed = "rdinit=/snpguard/agent root=/dev/mapper/cryptroot panic=1 noresume" +
	" systemd.import_credentials=no systemd.gpt_auto=no systemd.firstboot=no systemd.ssh_auto=no" +
	" systemd.crash_reboot=1 systemd.crash_action=poweroff systemd.mask=emergency.service systemd.mask=rescue.service"

func TestCmdline(t *testing.T) {
	for options, want := range map[string]string{
		"": "",
		"root=PARTUUID=3e39 ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0": "ro console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0 ",
		"BOOT_IMAGE=/vmlinuz rw  quiet\tsplash":                                                           "rw quiet splash ",
		"ro net.ifnames=0 biosdevname=0 cgroup_enable=memory swapaccount=1 apparmor=1 security=apparmor":  "ro net.ifnames=0 biosdevname=0 cgroup_enable=memory swapaccount=1 apparmor=1 security=apparmor ",
		"ro rootflags=subvol=root,compress=zstd:1 no_timer_check mitigations=auto,nosmt":                  "ro rootflags=subvol=root,compress=zstd:1 no_timer_check mitigations=auto,nosmt ",
		"nvme-core.io-timeout=4294967295 panic=1 noresume":                                                "nvme-core.io-timeout=4294967295 ",
	} {
		got, err := bootentry.Cmdline(bootconf.InitrdMinimal, options, "", nil)
		if err != nil || got.Text != want+fixed || len(got.Dropped)+len(got.Kept) != 0 {
			t.Errorf("%q: %+v, %v", options, got, err)
		}
	}
	if got, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro", "quiet ip=dhcp", nil); err != nil || got.Text != "ro quiet ip=dhcp "+fixed {
		t.Errorf("with an addition: %+v, %v", got, err)
	}
	if got, err := bootentry.Cmdline(bootconf.InitrdDistribution, "ro rd.shell=0", "", nil); err != nil || got.Text != "ro "+fixed+" rd.shell=0 rd.emergency=poweroff" || len(got.Dropped) != 0 {
		t.Errorf("with the distribution's initrd: %+v, %v", got, err)
	}
}

// Each of these undoes what the measured command line closes: the owner cannot
// keep or add it either.
func TestSteeringIsDropped(t *testing.T) {
	for _, word := range append(strings.Fields(`root=/dev/sda1 init=/bin/sh rdinit=/bin/sh resume=/dev/sda2 resume_offset=1 break break=premount rd.break=pre-mount
		rd.shell rd.shell=1 rd.emergency=reboot systemd.debug-shell systemd.debug_shell=1 rd.systemd.debug_shell systemd.unit=rescue.target single S s 1 -b emergency
		systemd.import-credentials=yes systemd.set_credential=a:b systemd.gpt_auto=yes systemd.run=/x "init=/bin/sh" init="/bin/sh" panic=0 rd.cmdline=ask
		systemd.wants=debug-shell.service netroot=nbd:1.2.3.4 initrd=/x SYSTEMD_SULOGIN_FORCE=1
		kgdboc=ttyS0 ekgdboc=kbd kgdbwait kgdbcon sysrq_always_enabled
		-s rd.rescue systemd.setenv=SYSTEMD_SULOGIN_FORCE=1 'systemd.debug_shell' boot=nfs nfsroot=1.2.3.4:/x overlayroot=device:dev=/dev/vdb
		mount.usr=/dev/vdb1 systemd.mount-extra=/dev/vdb:/etc systemd.swap_extra=/dev/vdb rd.live.overlay=/dev/vdb luks.uuid=1 rd.luks.name=1=x
		rootfstype=tmpfs systemd.ssh-auto=yes systemd.pull=x:http://1.2.3.4/x roothash=1 kgdboc=ttyS0 kgdbwait systemd.confirm_spawn=ttyS0
		cloud-config-url=http://1.2.3.4/ url=http://1.2.3.4/ ds=nocloud;s=http://1.2.3.4/ ci.ds=NoCloud ci.datasource=Ec2
		ci.di.policy=enabled systemd.setenv=CLOUD_CFG=/x systemd.setenv=PATH_DI_CONFIG=/x cc: cc:{runcmd:[x]}
		systemd.run-success-action=exit systemd.run_failure_action=none rd.systemd.run=/x Systemd.Unit=rescue.target SYSTEMD.UNIT=x Init=/bin/sh RD.Break
		console=cc:{runcmd:[x]}end_cc LANG=a'init=/bin/sh'`),
		`dyndbg="file a.c init=/bin/sh"`, `rootflags="noatime rd.break x"`) {
		got, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro "+word+" quiet", "", nil)
		if err != nil || got.Text != "ro quiet "+fixed {
			t.Errorf("%s: %+v, %v", word, got, err)
		}
		if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro", word, nil); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s was added: %v", word, err)
		}
		name, _, _ := strings.Cut(word, "=")
		for _, keep := range []string{word, name + "="} {
			if got, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro "+word, "", []string{keep}); !errors.Is(err, bootentry.ErrKeep) {
				t.Errorf("%s was kept with %s: %+v, %v", word, keep, got, err)
			}
		}
	}
}

// Whatever is not known to be harmless is dropped and named, unless the owner
// keeps it.
func TestUnknownWordsAreDropped(t *testing.T) {
	for _, word := range strings.Fields(`systemd.mask=ssh.service systemd.wants=telnetd.service systemd.setenv=LD_PRELOAD=/x systemd.ssh_listen=vsock::22
		systemd.ssh-listen=0.0.0.0:22 ignition.config.url=http://1.2.3.4/ ignition.firstboot flatcar.autologin flatcar.autologin=tty1 coreos.autologin
		rd.md=0 rd.driver.pre=x rd.neednet=1 rd.udev.log_level=3 rd.lvm.vg=mapper rd.auto ip=dhcp ip=1.2.3.4::1.2.3.1:255.255.255.0::eth0:off ifname=eth0:00:11:22:33:44:55
		iscsi_initiator=x iscsi_target_name=y rd.iscsi.firmware ISCSI_TARGET_NAME=z nameserver=1.2.3.4 vlan=eth0.1:eth0 bond=b
		mitigations=off spectre_v2=off mds=off,nosmt nokaslr pti=off nopti init_on_alloc=0 lockdown=none debugfs=on
		rootflags=device=/dev/vdb rootflags=subvol=root,device=/dev/vdb rootflags=logdev=/dev/vdb rootflags=degraded
		crashkernel=auto crashkernel=256M kexec_load_disabled=0 earlycon=uart8250,mmio,0x1000 memmap=1G$1G mem=1G efi=debug acpi=off swiotlb=noforce
		mem_encrypt=off sev=debug modules=x module_blacklist=tsm modprobe.blacklist=dm_crypt netconsole=@/,@1.2.3.4/ debug systemd.log_target=console
		systemd.journald.forward_to_console=1 systemd.getty_auto=no systemd.machine_id=1 fips=1 rd.fips 3 5 runlevel=1 QUIET Console=ttyS0 ro;x quiet\x
		dyndbg="+p" console="ttyS0" LANG='C' vsyscall=emulate dm_mod.create=x dm-mod.create=x blkdevparts=x mtdparts=x md=0,/dev/sda raid=x lvm cryptdevice=x`) {
		got, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro "+word+" quiet", "", nil)
		if err != nil || got.Text != "ro quiet "+fixed || !slices.Equal(got.Dropped, []string{word}) {
			t.Errorf("%s: %+v, %v", word, got, err)
		}
		got, err = bootentry.Cmdline(bootconf.InitrdMinimal, "ro "+word+" quiet", "", []string{word})
		if err != nil || got.Text != "ro "+word+" quiet "+fixed || !slices.Equal(got.Kept, []string{word}) || len(got.Dropped) != 0 {
			t.Errorf("%s, kept: %+v, %v", word, got, err)
		}
	}
}

func TestKeep(t *testing.T) {
	got, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro hash-dist=1 hash_dist=2 hash_distance=3", "", []string{"hash_dist="})
	if err != nil || got.Text != "ro hash-dist=1 hash_dist=2 "+fixed || !slices.Equal(got.Dropped, []string{"hash_distance=3"}) {
		t.Errorf("by name: %+v, %v", got, err)
	}
	for _, keep := range []string{"ip=", "ip=dhcp", "hash_dist", "hash_dist=1 ro", "", "="} {
		if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro hash_dist=1", "", []string{keep}); !errors.Is(err, bootentry.ErrKeep) {
			t.Errorf("%q, which is not there: %v", keep, err)
		}
	}
	if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, "ro quiet root=/dev/sda1", "", []string{"quiet", "root="}); !errors.Is(err, bootentry.ErrKeep) {
		t.Errorf("the old root: %v", err)
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
		"too long":   "LANG=" + strings.Repeat("a", bootentry.MaxCmdline-len(fixed)-5),
	} {
		if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, options, "", nil); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bootentry.Cmdline(bootconf.InitrdMinimal, "", options, nil); !errors.Is(err, bootentry.ErrCmdline) {
			t.Errorf("%s, added: %v", name, err)
		}
	}
	longest := "LANG=" + strings.Repeat("a", bootentry.MaxCmdline-len(fixed)-6)
	if got, err := bootentry.Cmdline(bootconf.InitrdMinimal, longest, "", nil); err != nil || len(got.Text) != bootentry.MaxCmdline {
		t.Errorf("the longest: %+v, %v", got, err)
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add(`ro console=ttyS0 a="b c"`, "quiet")
	f.Fuzz(func(t *testing.T, options, extra string) {
		line, err := bootentry.Cmdline(bootconf.InitrdMinimal, options, extra, nil)
		if err != nil {
			return
		}
		if !strings.HasSuffix(line.Text, fixed) || len(line.Text) > bootentry.MaxCmdline {
			t.Errorf("%q", line.Text)
		}
		if line, err = bootentry.Cmdline(bootconf.InitrdMinimal, options, "", nil); err != nil {
			t.Fatalf("without the addition: %v", err)
		}
		again, err := bootentry.Cmdline(bootconf.InitrdMinimal, strings.TrimSuffix(line.Text, fixed), "", nil)
		if err != nil || again.Text != line.Text || len(again.Dropped) != 0 {
			t.Errorf("%q became %+v, %v", line.Text, again, err)
		}
	})
}
