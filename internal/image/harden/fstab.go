package harden

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

const fstabFile = "etc/fstab"

// mount is a line of fstab(5).
type mount struct {
	source, target, kind, options string
	rest                          []string // dump and pass
}

func parseMount(line string) (mount, bool) {
	f := strings.Fields(line)
	if len(f) < 3 || strings.HasPrefix(f[0], "#") {
		return mount{}, false
	}
	m := mount{source: f[0], target: f[1], kind: f[2], options: "defaults"}
	if len(f) > 3 {
		m.options = f[3]
		m.rest = f[4:]
	}
	return m, true
}

func (m mount) String() string {
	return strings.Join(append([]string{m.source, m.target, m.kind, m.options}, m.rest...), " ")
}

// network says whether the mount comes from another machine.
func (m mount) network() bool {
	switch m.kind {
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "sshfs", "fuse.sshfs":
		return true
	}
	return false
}

// host says whether the mount is a directory of the host.
func (m mount) host() bool {
	switch m.kind {
	case "9p", "virtiofs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse", "prl_fs":
		return true
	}
	return false
}

// memory says whether the mount is a compressed block device in memory, which is
// the guest's own.
func (m mount) memory() bool {
	number, ok := strings.CutPrefix(m.source, "/dev/zram")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// device says whether the mount is a block device of its own.
func (m mount) device() bool {
	for _, prefix := range []string{"UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID=", "/dev/"} {
		if strings.HasPrefix(m.source, prefix) {
			return true
		}
	}
	return false
}

// verdict is what becomes of a line.
type verdict int

const (
	keep      verdict = iota
	encrypted         // on the root's device: named by its new path
	dropped           // on an unencrypted device: no longer mounted
)

// judge decides about a mount. root is what the line of "/" names: other lines
// that name it are subvolumes of the same file system.
func (m mount) judge(root string) verdict {
	switch {
	case m.target == "/" || root != "" && m.source == root && m.kind != "swap":
		return encrypted
	case m.network() || m.memory():
		return keep
	case m.host() || m.device() && m.source != bootconf.MapperPath:
		return dropped
	}
	return keep
}

func rootSource(content string) string {
	for line := range strings.Lines(content) {
		if m, ok := parseMount(line); ok && m.target == "/" {
			return m.source
		}
	}
	return ""
}

// mounts finds what the host can read or change while it is mounted.
func mounts(r *reader) (all []Finding) {
	content := r.text(fstabFile)
	root := rootSource(content)
	for line := range strings.Lines(content) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		what := printable(m.source) + " on " + printable(m.target)
		switch {
		case m.network():
			all = append(all, Finding{Code: "network-mount", Severity: Warning, Path: fstabFile, Detail: what + " comes from another machine, through the host"})
		case m.judge(root) != dropped:
		case m.host():
			all = append(all, Finding{Code: "host-mount", Severity: Critical, Path: fstabFile, Detail: what + " is a directory of the host", Mended: true})
		case m.kind == "swap":
			all = append(all, Finding{Code: "unencrypted-swap", Severity: Critical, Path: fstabFile, Detail: what + " would write memory to the host's disk", Mended: true})
		default:
			all = append(all, Finding{Code: "unencrypted-mount", Severity: Warning, Path: fstabFile, Detail: what + " is not encrypted, so the host can read and change it", Mended: true})
		}
	}
	for _, s := range r.systemdConfig("zram-generator.conf") {
		if s.key == "writeback-device" {
			all = append(all, Finding{Code: "unencrypted-swap", Severity: Critical, Path: s.file, Detail: printable(s.section) + " writes memory to " + printable(s.value)})
		}
	}
	for _, line := range r.lines("etc/crypttab") {
		name, _, _ := strings.Cut(line, " ")
		all = append(all, Finding{Code: "crypttab", Severity: Note, Path: "etc/crypttab", Detail: printable(name) + " is opened at boot; its device may be gone"})
	}
	return all
}

// newFstab returns the content with the root on cryptroot, its options kept, and
// the lines of unencrypted devices as comments. Other lines stay as they are.
func newFstab(content string) (string, error) {
	if strings.ContainsRune(content, 0) {
		return "", fmt.Errorf("%w: %s is not text", ErrMalformed, fstabFile)
	}
	root := rootSource(content)
	var b strings.Builder
	for line := range strings.Lines(content) {
		m, ok := parseMount(line)
		switch {
		case !ok || m.judge(root) == keep:
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		case m.judge(root) == encrypted:
			b.WriteString(m.onCryptroot().String() + "\n")
		default:
			b.WriteString("# not encrypted, so not mounted: " + m.String() + "\n")
		}
	}
	if root == "" {
		b.WriteString(mount{target: "/", kind: "auto", options: "defaults"}.onCryptroot().String() + "\n")
	}
	return b.String(), nil
}

// growOption has systemd grow a file system to its device when it is mounted.
const growOption = "x-systemd.growfs"

// onCryptroot returns the mount on the root's new device, which may be larger
// than the file system: the root grows to fill it. A root that nobody told
// otherwise is checked first, unless its kind needs no check at boot.
func (m mount) onCryptroot() mount {
	m.source = bootconf.MapperPath
	if m.target != "/" {
		return m
	}
	pass := "1"
	switch m.kind {
	case "xfs", "btrfs":
		pass = "0"
	case "ext4", "auto":
	default:
		return m
	}
	if !slices.Contains(strings.Split(m.options, ","), growOption) {
		m.options += "," + growOption
	}
	for n, field := range []string{"0", pass} { // dump and pass
		if n == len(m.rest) {
			m.rest = append(slices.Clone(m.rest), field)
		}
	}
	return m
}
