package bootentry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/bootconf"
)

// MaxCmdline is the longest command line, in bytes: x86's COMMAND_LINE_SIZE
// with its NUL.
const MaxCmdline = 2047

// Fixed ends every measured command line. Besides starting the agent and naming
// the root it closes ways in which a disk, a console or the machine's firmware
// tables could steer what runs behind the agent.
func Fixed() []string {
	return []string{
		"rdinit=" + bootconf.PathAgent,
		"root=" + bootconf.MapperPath,
		"panic=1",
		"rd.shell=0",
		"rd.emergency=poweroff",
		"noresume",                      // no hibernation image from a disk
		"systemd.import_credentials=no", // none from SMBIOS or fw_cfg
		"systemd.gpt_auto=no",           // no swap or mount because of a partition's type
		"systemd.firstboot=no",          // no question on the console
		"systemd.ssh_auto=no",           // no sshd on a socket to the host
	}
}

// Cmdline returns the command line to be measured: the options of a boot entry
// without what names the old root, chooses another init or opens a shell, then
// extra, then Fixed. extra is taken as it is, but may not undo any of Fixed. The
// error wraps ErrCmdline.
func Cmdline(options, extra string) (string, error) {
	own, err := splitCmdline(options)
	if err != nil {
		return "", err
	}
	added, err := splitCmdline(extra)
	if err != nil {
		return "", err
	}
	for _, a := range added {
		if dropped(a) {
			return "", fmt.Errorf("%w: %s may not be added", ErrCmdline, a)
		}
	}
	all := slices.Concat(slices.DeleteFunc(own, dropped), added, Fixed())
	line := strings.Join(all, " ")
	if len(line) > MaxCmdline {
		return "", fmt.Errorf("%w: %d bytes, the kernel takes %d", ErrCmdline, len(line), MaxCmdline)
	}
	return line, nil
}

// splitCmdline splits as the kernel does (next_arg of lib/cmdline.c): at spaces
// that are not in double quotes.
func splitCmdline(line string) ([]string, error) {
	var args []string
	var arg strings.Builder
	quoted := false
	for _, c := range strings.TrimSpace(line) {
		switch {
		case (c < ' ' || c > '~') && c != '\t':
			return nil, fmt.Errorf("%w: character %q in %.200q", ErrCmdline, c, line)
		case (c == ' ' || c == '\t') && !quoted:
			if arg.Len() > 0 {
				args = append(args, arg.String())
			}
			arg.Reset()
			continue
		case c == '\t':
			return nil, fmt.Errorf("%w: tab in a quoted value: %.200q", ErrCmdline, line)
		case c == '"':
			quoted = !quoted
		}
		arg.WriteRune(c)
	}
	if quoted {
		return nil, fmt.Errorf("%w: a quote has no end: %.200q", ErrCmdline, line)
	}
	if arg.Len() > 0 {
		args = append(args, arg.String())
	}
	for _, a := range args {
		if a == "--" {
			return nil, fmt.Errorf("%w: %q would hide what follows from the kernel", ErrCmdline, a)
		}
	}
	return args, nil
}

// dropped says whether an argument may not be in a measured command line. The
// kernel and systemd take "-" and "_" in names for the same, and systemd takes
// quotes of both kinds away.
func dropped(arg string) bool {
	arg = strings.NewReplacer(`"`, "", "'", "").Replace(arg)
	name, value, _ := strings.Cut(arg, "=")
	name = strings.ReplaceAll(name, "-", "_")
	switch name {
	case "BOOT_IMAGE", "initrd", "root", "init", "rdinit", "resume", "resume_offset", "noresume", "panic",
		"break", "rd.break", "rd.shell", "rd.emergency", "rd.systemd.debug_shell", "systemd.debug_shell",
		"systemd.import_credentials", "systemd.set_credential", "systemd.set_credential_binary",
		"systemd.gpt_auto", "rd.systemd.gpt_auto", "systemd.firstboot", "systemd.ssh_auto", "systemd.run", "systemd.unit", "rd.systemd.unit",
		"systemd.default_debug_tty", "single", "s", "S", "1", "_s", "emergency", "rescue", "rd.rescue", "_b", "b", "SYSTEMD_SULOGIN_FORCE",
		"rd.cmdline", "dis_ucode_ldr", "systemd.crash_shell", "rd.systemd.crash_shell", "netroot", "BOOTIF", "rootfstype",
		"kgdboc", "ekgdboc", "kgdbwait", "kgdbcon", "sysrq_always_enabled":
		return true
	case "systemd.wants", "rd.systemd.wants":
		return strings.Contains(value, "debug-shell") || strings.Contains(value, "emergency") || strings.Contains(value, "rescue")
	case "systemd.setenv", "rd.systemd.setenv":
		return strings.Contains(value, "SYSTEMD_SULOGIN_FORCE")
	}
	return mountsDevice(name) || givesOrders(name)
}

// mountsDevice says whether an argument has a disk or the network give files to
// the system: those of the host.
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

// givesOrders says whether an argument lets the console debug the kernel or say
// which services start, or has cloud-init take orders from where it names.
func givesOrders(name string) bool {
	switch name {
	case "kgdboc", "kgdboc_earlycon", "kgdbwait", "kgdbdbgp", "ekgdboc", "systemd.confirm_spawn", "rd.systemd.confirm_spawn",
		"cloud_config_url", "url", "ds", "ci.ds", "ci.datasource":
		return true
	}
	return strings.HasPrefix(name, "cc:")
}
