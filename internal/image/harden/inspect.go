package harden

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Inspect returns what it finds in the root of an image, in a fixed order.
// Mended is what Edits with the given options takes care of.
func Inspect(root fs.FS, o Options) ([]Finding, error) {
	r := &reader{fsys: root}
	var all []Finding
	for _, look := range []func(*reader) []Finding{accounts, autologin, sshd, debugShell, hostChannels, crashDumps, sharedKeys, authorizedKeys} {
		all = append(all, look(r)...)
	}
	all = append(all, cloudInit(r, o)...)
	all = append(all, mounts(r)...)
	if r.err != nil {
		return nil, fmt.Errorf("inspect root file system: %w", r.err)
	}
	return all, nil
}

// accounts finds passwords by which the host can log in on the console.
func accounts(r *reader) (all []Finding) {
	for _, file := range []string{"etc/shadow", "etc/passwd"} {
		for _, line := range r.lines(file) {
			fields := strings.Split(line, ":")
			if len(fields) < 2 {
				continue
			}
			name, hash := printable(fields[0]), fields[1]
			switch {
			case hash == "":
				all = append(all, Finding{Code: "empty-password", Severity: Critical, Path: file, Detail: name + " logs in on the console without a password"})
			case file == "etc/passwd" && hash == "x": // it is in shadow
			case hash[0] != '!' && hash[0] != '*':
				all = append(all, Finding{Code: "console-password", Severity: Critical, Path: file, Detail: name + " has a password of the image's maker, for the console: anyone with the source image can try to guess it offline"})
			}
		}
	}
	return all
}

// printable makes text of an image fit for a terminal.
func printable(s string) string {
	quoted := fmt.Sprintf("%.64q", s)
	return strings.Trim(quoted, `"`)
}

// autologin finds consoles that ask for nothing.
func autologin(r *reader) (all []Finding) {
	var files []string
	for _, unit := range []string{"getty@", "serial-getty@", "console-getty", "container-getty@", "autovt@"} {
		for _, dir := range unitDirs[:4] {
			files = append(files, path.Join(dir, unit+".service"))
			for _, instance := range []string{"", "tty1", "ttyS0", "hvc0"} {
				if instance != "" && !strings.HasSuffix(unit, "@") {
					continue
				}
				files = append(files, path.Join(dir, unit+instance+".service"))
				files = append(files, r.list(path.Join(dir, unit+instance+".service.d"), ".conf")...)
			}
		}
	}
	seen := make(map[string]bool)
	for _, file := range append(files, "etc/inittab") {
		for _, line := range r.lines(file) {
			if !seen[file] && hasAutologin(line) {
				seen[file] = true
				all = append(all, Finding{Code: "autologin", Severity: Critical, Path: file, Detail: "a console logs in without a password"})
			}
		}
	}
	return all
}

func hasAutologin(line string) bool {
	if !strings.Contains(line, "getty") && !strings.Contains(line, "/login") {
		return false
	}
	for _, arg := range strings.Fields(line) {
		if strings.HasPrefix(arg, "--autologin") || arg == "-a" || arg == "-f" || arg == "--skip-login" || arg == "-n" {
			return true
		}
	}
	return false
}

// debugShell finds root shells that a unit opens.
func debugShell(r *reader) (all []Finding) {
	for _, target := range []string{"sysinit.target", "multi-user.target", "basic.target", "default.target"} {
		file := path.Join("etc/systemd/system", target+".wants", "debug-shell.service")
		if r.exists(file) && !masked(r, "debug-shell.service") {
			all = append(all, Finding{Code: "debug-shell", Severity: Critical, Path: file, Detail: "a root shell on tty9", Mended: true})
		}
	}
	for _, unit := range []string{"emergency.service", "rescue.service"} {
		files := append(r.list(path.Join("etc/systemd/system", unit+".d"), ".conf"), path.Join("etc/systemd/system", unit))
		for _, file := range files {
			if strings.Contains(r.text(file), "SYSTEMD_SULOGIN_FORCE") {
				all = append(all, Finding{Code: "emergency-shell", Severity: Critical, Path: file, Detail: "a boot that fails ends in a root shell without a password"})
			}
		}
	}
	return all
}

// crashDumps finds programs that write memory where it may leave the guest.
func crashDumps(r *reader) (all []Finding) {
	for _, unit := range []string{"kdump.service", "kdump-tools.service"} {
		file := path.Join("etc/systemd/system/multi-user.target.wants", unit)
		if r.exists(file) {
			all = append(all, Finding{Code: "kdump", Severity: Warning, Path: file, Detail: "a crash would start a second kernel that was not measured, and write memory to a disk or the network"})
		}
	}
	return all
}

// sharedKeys finds what the source image already gave away.
func sharedKeys(r *reader) (all []Finding) {
	for _, file := range r.list("etc/ssh", "_key") {
		all = append(all, Finding{Code: "ssh-host-key", Severity: Critical, Path: file, Detail: "the source image holds this private key in clear: anyone who has it can impersonate every guest of this image to those who log in"})
	}
	return all
}

// authorizedKeys finds the keys that let somebody in over SSH already.
func authorizedKeys(r *reader) (all []Finding) {
	for _, home := range append(r.list("home", ""), "root") {
		for _, name := range keysFileNames {
			file := path.Join(home, ".ssh", name)
			if len(r.lines(file)) > 0 {
				all = append(all, Finding{Code: "ssh-authorized-keys", Severity: Warning, Path: file, Detail: "anyone with one of these keys can log in over SSH"})
			}
		}
	}
	return all
}
