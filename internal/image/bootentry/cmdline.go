package bootentry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// MaxCmdline is the longest command line, in bytes: x86's COMMAND_LINE_SIZE
// with its NUL.
const MaxCmdline = 2047

// fixed ends every measured command line, by the kind of initrd. Besides starting
// the agent and naming the root it closes ways in which a disk, a console or the
// machine's firmware tables could steer what runs behind the agent.
func fixed(initrd string) []string {
	words := []string{
		"rdinit=" + bootconf.PathAgent,
		"root=" + bootconf.MapperPath,
		"panic=1",
		"noresume",                       // no hibernation image from a disk
		"systemd.import_credentials=no",  // none from SMBIOS or fw_cfg
		"systemd.gpt_auto=no",            // no swap or mount because of a partition's type
		"systemd.firstboot=no",           // no question on the console
		"systemd.ssh_auto=no",            // no sshd on a socket to the host
		"systemd.crash_reboot=1",         // up to 255; a systemd that crashes would stay
		"systemd.crash_action=poweroff",  // from 256 on
		"systemd.mask=emergency.service", // no shell on the console
		"systemd.mask=rescue.service",
	}
	if initrd == bootconf.InitrdDistribution {
		words = append(words, distributionWords()...)
	}
	return words
}

// Line is a command line to be measured, and what became of the words of the
// boot entry.
type Line struct {
	Text    string
	Kept    []string // not known to be harmless, but the owner asked for them
	Dropped []string // of which nobody asked; without what a boot loader adds and Fixed replaces
}

// Cmdline returns the command line to be measured: the words of a boot entry
// that are known to be harmless or that keep asks for, then extra, then Fixed.
// Each of keep is a word of the entry, or NAME= for all words of that name.
// extra is taken as it is. Neither may undo any of Fixed. The error wraps
// ErrCmdline, and ErrKeep where keep is at fault.
func Cmdline(initrd, options, extra string, keep []string) (*Line, error) {
	own, err := splitCmdline(options)
	if err != nil {
		return nil, err
	}
	added, err := splitCmdline(extra)
	if err != nil {
		return nil, err
	}
	for _, word := range added {
		if steers(word) {
			return nil, fmt.Errorf("%w: %s may not be added", ErrCmdline, word)
		}
	}
	if err := checkKeep(own, keep); err != nil {
		return nil, err
	}
	line := &Line{}
	var words []string
	for _, word := range own {
		switch {
		case harmless(word):
			words = append(words, word)
		case kept(word, keep):
			words = append(words, word)
			line.Kept = append(line.Kept, word)
		case !replaced(word):
			line.Dropped = append(line.Dropped, word)
		}
	}
	line.Text = strings.Join(slices.Concat(words, added, fixed(initrd)), " ")
	if len(line.Text) > MaxCmdline {
		return nil, fmt.Errorf("%w: %d bytes, the kernel takes %d", ErrCmdline, len(line.Text), MaxCmdline)
	}
	return line, nil
}

// checkKeep wants each of keep to be there, and to steer nothing that the
// measured command line decides.
func checkKeep(own, keep []string) error {
	for _, k := range keep {
		if !slices.ContainsFunc(own, func(word string) bool { return matches(word, k) }) {
			return fmt.Errorf("%w: %q is not among the words of the boot entry: %s", ErrKeep, k, strings.Join(own, " "))
		}
		for _, word := range own {
			if matches(word, k) && steers(word) {
				return fmt.Errorf("%w: %s is decided by the measured command line", ErrKeep, word)
			}
		}
	}
	return nil
}

func kept(word string, keep []string) bool {
	return slices.ContainsFunc(keep, func(k string) bool { return matches(word, k) })
}

// matches says whether k, a word or NAME=, asks for a word.
func matches(word, k string) bool {
	name, value, _ := strings.Cut(word, "=")
	wanted, ok := strings.CutSuffix(k, "=")
	return word == k || ok && value != "" && canonical(name) == canonical(wanted)
}

// replaced says whether a word is the boot loader's own, or Fixed has another in
// its place, so that nothing is lost with it.
func replaced(word string) bool {
	name, _, _ := strings.Cut(word, "=")
	switch name {
	case "BOOT_IMAGE", "initrd", "root":
		return true
	}
	return slices.Contains(fixed(bootconf.InitrdDistribution), word)
}

// canonical writes a parameter's name in one way: to the kernel and to systemd
// "-" and "_" are the same.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

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
