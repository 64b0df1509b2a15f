package bootentry

import (
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// harmless says whether a word of an image's boot entry is known to leave what
// boots, and whom it obeys, as they are. Names count as they are written, but for
// "-" and "_"; values have no character that any reader of the command line takes
// for more than itself.
func harmless(word string) bool {
	if strings.ContainsFunc(word, func(c rune) bool { return !plainCharacter(c) }) || steers(word) {
		return false
	}
	name, value, hasValue := strings.Cut(word, "=")
	name = canonical(name)
	if allowed, ok := valued[name]; ok {
		return hasValue && allowed(value)
	}
	return slices.Contains(harmlessNames, name)
}

func plainCharacter(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.,:/=+@%", c)
}

// harmlessNames lists names, with "_" for "-", that are harmless with any value:
// those of cloud images of Debian, Ubuntu, Fedora, RHEL, SUSE and Amazon, and
// what administrators set most. Kernel: admin-guide/kernel-parameters.
var harmlessNames = []string{
	// What is shown, and where: the console is the host's in any case.
	"console", "consoleblank", "earlyprintk", "quiet", "splash", "nosplash", "rhgb", "nomodeset", "video", "vga", "logo.nologo",
	"loglevel", "ignore_loglevel", "log_buf_len", "printk.time", "printk.devkmsg", "systemd.show_status",
	"vt.handoff", "vt.global_cursor_default", "vt.default_utf8", "plymouth.enable", "plymouth.ignore_serial_consoles",
	"vconsole.keymap", "vconsole.font", "locale.LANG", "LANG",
	// The root that Fixed names.
	"ro", "rw", "rootwait", "rootdelay", "fsck.mode", "fsck.repair",
	// Names of interfaces; protocols that are off.
	"net.ifnames", "biosdevname", "ipv6.disable", "ipv6.disable_ipv6",
	// Security modules, audit and groups.
	"apparmor", "security", "selinux", "enforcing", "lsm", "audit", "audit_backlog_limit",
	"cgroup_enable", "cgroup_disable", "cgroup_memory", "swapaccount", "psi",
	"systemd.unified_cgroup_hierarchy", "systemd.legacy_systemd_cgroup_controller",
	// Memory, scheduling and timers.
	"transparent_hugepage", "hugepages", "hugepagesz", "default_hugepagesz", "numa_balancing", "preempt", "threadirqs",
	"nohz", "nohz_full", "rcu_nocbs", "skew_tick", "no_timer_check", "nmi_watchdog", "nowatchdog", "nosoftlockup",
	"intel_idle.max_cstate", "processor.max_cstate", "elevator", "nosmt",
	// Parameters of modules.
	"nvme_core.io_timeout", "nvme_core.default_ps_max_latency_us", "nvme_core.max_retries",
	"scsi_mod.use_blk_mq", "dm_mod.use_blk_mq", "xen_blkfront.sda_is_xvda", "zswap.enabled", "zswap.compressor", "zswap.max_pool_percent",
}

// valued lists names that are harmless with some values.
var valued = map[string]func(string) bool{
	"rootflags":                 mountOptions,
	"init_on_alloc":             oneOf("1", "on"),
	"init_on_free":              oneOf("1", "on"),
	"randomize_kstack_offset":   oneOf("1", "on"),
	"page_alloc.shuffle":        oneOf("1", "y", "Y"),
	"module.sig_enforce":        oneOf("1", "y", "Y"),
	"pti":                       oneOf("on", "auto"),
	"vsyscall":                  oneOf("none", "xonly"),
	"debugfs":                   oneOf("off", "no-mount"),
	"lockdown":                  oneOf("integrity", "confidentiality"),
	"oops":                      oneOf("panic"),
	"systemd.dump_core":         oneOf("0", "no", "false", "off"),
	"systemd.crash_reboot":      oneOf("1", "yes", "true", "on"),
	"spec_store_bypass_disable": mitigation,
	"mitigations":               mitigation,
	"spectre_v2":                mitigation,
	"spectre_v2_user":           mitigation,
	"spectre_bhi":               mitigation,
	"retbleed":                  mitigation,
	"mds":                       mitigation,
	"tsx_async_abort":           mitigation,
	"l1tf":                      mitigation,
	"srbds":                     mitigation,
	"mmio_stale_data":           mitigation,
	"gather_data_sampling":      mitigation,
	"reg_file_data_sampling":    mitigation,
	"spec_rstack_overflow":      mitigation,
	"tsa":                       mitigation,
}

func oneOf(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, value) }
}

// mitigation says whether a value keeps a defence against speculation on. What
// turns it off helps the host.
func mitigation(value string) bool {
	for part := range strings.SplitSeq(value, ",") {
		switch part {
		case "auto", "on", "full", "force", "flush", "nosmt", "seccomp", "prctl", "ibpb", "unret", "safe-ret", "microcode",
			"ibrs", "eibrs", "retpoline", "lfence", "generic", "vmexit":
		default:
			return false
		}
	}
	return true
}

// mountOptions says whether the options of the root's mount name no other device
// and leave its file system's checks on.
func mountOptions(value string) bool {
	allowed := append(bootconf.MountOptions(""), "rw", "ro", "defaults")
	for part := range strings.SplitSeq(value, ",") {
		name, _, _ := strings.Cut(part, "=")
		if !slices.Contains(allowed, name) {
			return false
		}
	}
	return true
}
