package bootentry

import (
	"slices"
	"strings"
)

// steers says whether a word undoes what Fixed closes: it may be neither kept nor
// added. Programs read the command line in ways of their own (systemd takes
// quotes of both kinds away, initramfs-tools splits at every space), so all parts
// of a word count, whatever the case of their letters.
func steers(word string) bool {
	word = strings.ToLower(strings.NewReplacer(`"`, " ", "'", " ", `\`, " ").Replace(word))
	// cloud-init looks for "cc:" anywhere and runs what follows.
	return strings.Contains(word, "cc:") || slices.ContainsFunc(strings.Fields(word), steersAlone)
}

// steersAlone is steers for a word in lower case and without spaces.
func steersAlone(word string) bool {
	name, value, _ := strings.Cut(word, "=")
	name = canonical(name)
	switch name {
	case "boot_image", "initrd", "root", "init", "rdinit", "resume", "resume_offset", "noresume", "panic",
		"break", "rd.break", "rd.shell", "rd.emergency", "rd.systemd.debug_shell", "systemd.debug_shell",
		"systemd.import_credentials", "systemd.set_credential", "systemd.set_credential_binary",
		"systemd.gpt_auto", "rd.systemd.gpt_auto", "systemd.firstboot", "systemd.ssh_auto", "systemd.unit", "rd.systemd.unit",
		"systemd.default_debug_tty", "single", "s", "1", "_s", "emergency", "rescue", "rd.rescue", "_b", "b", "systemd_sulogin_force",
		"rd.cmdline", "dis_ucode_ldr", "systemd.crash_shell", "rd.systemd.crash_shell", "netroot", "bootif", "rootfstype",
		"kgdboc", "ekgdboc", "kgdbwait", "kgdbcon", "sysrq_always_enabled":
		return true
	case "systemd.wants", "rd.systemd.wants":
		return strings.Contains(value, "debug-shell") || strings.Contains(value, "emergency") || strings.Contains(value, "rescue")
	case "systemd.setenv", "rd.systemd.setenv":
		return strings.Contains(value, "systemd_sulogin_force") || strings.Contains(value, "cloud_cfg") || strings.Contains(value, "path_")
	}
	return mountsDevice(name) || givesOrders(name)
}

// mountsDevice says whether a word has a disk or the network give files to the
// system: those of the host.
func mountsDevice(name string) bool {
	switch name {
	case "boot", // initramfs-tools: the root from NFS; dracut with fips: a device for /boot
		"nfsroot", "nfsaddrs", "overlayroot", "usrhash", "roothash",
		"mount.usr", "mount.usrfstype", "mount.usrflags", "systemd.mount_extra", "rd.systemd.mount_extra",
		"systemd.swap_extra", "rd.systemd.swap_extra", "systemd.pull", "rd.systemd.pull":
		return true
	}
	return strings.HasPrefix(name, "rd.live.") || strings.HasPrefix(name, "luks.") || strings.HasPrefix(name, "rd.luks.")
}

// givesOrders says whether a word lets the console debug the kernel or say which
// services start, runs a command, or has cloud-init take orders from where it
// names.
func givesOrders(name string) bool {
	switch name {
	case "kgdboc_earlycon", "kgdbdbgp", "systemd.confirm_spawn", "rd.systemd.confirm_spawn",
		"cloud_config_url", "url", "ds":
		return true
	}
	return strings.HasPrefix(name, "ci.") || strings.HasPrefix(name, "systemd.run") || strings.HasPrefix(name, "rd.systemd.run")
}
