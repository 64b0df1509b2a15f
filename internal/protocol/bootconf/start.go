package bootconf

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of initrd.
const (
	// InitrdMinimal holds the agent, its configuration and kernel modules: the
	// agent mounts the root and starts the system's init.
	InitrdMinimal = "minimal"
	// InitrdDistribution is the image's own with the agent behind it: the agent
	// hands over to its /init.
	InitrdDistribution = "distribution"
)

// What the root must have of the kernel's modules.
const (
	ModulesRequired = "required" // /lib/modules/RELEASE, or the machine powers off
	ModulesOptional = "optional"
)

// CheckInitrd wants a kind of initrd.
func CheckInitrd(kind string) error {
	return want(kind == InitrdMinimal || kind == InitrdDistribution, "%q is neither %s nor %s", kind, InitrdMinimal, InitrdDistribution)
}

// Mount says how the root is mounted.
type Mount struct {
	ReadOnly bool     `json:"read_only"`
	Options  []string `json:"options"` // each NAME or NAME=VALUE of MountOptions
}

// ParseMount reads how the root is mounted from a kernel's command line, as the
// kernel does: the last of "ro" and "rw" counts, and the last rootflags=. Without
// either it is read-only. The options are checked with the configuration.
func ParseMount(cmdline string) Mount {
	m := Mount{ReadOnly: true, Options: []string{}}
	for word := range strings.FieldsSeq(cmdline) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "ro", "rw":
			m.ReadOnly = name == "ro"
		case "rootflags":
			m.setOptions(strings.Trim(value, `"`))
		}
	}
	return m
}

// setOptions takes what rootflags= holds: also words that are mount(8)'s and no
// options of a file system's.
func (m *Mount) setOptions(value string) {
	m.Options = []string{}
	for option := range strings.SplitSeq(value, ",") {
		switch option {
		case "", "defaults":
		case "ro", "rw":
			m.ReadOnly = option == "ro"
		default:
			m.Options = append(m.Options, option)
		}
	}
}

// MountOptions returns the names of mount options that name no other device and
// leave a file system's checks on: those of every file system, and those of a kind,
// or of all kinds where that is "".
func MountOptions(kind string) []string {
	all := []string{"noatime", "relatime", "nodiratime", "lazytime"}
	for k, more := range map[string][]string{
		"ext4":  {"commit", "errors", "data", "discard", "nodiscard", "usrquota", "grpquota", "prjquota", "noquota"},
		"xfs":   {"uquota", "usrquota", "gquota", "grpquota", "pquota", "prjquota", "noquota", "inode64", "logbufs", "logbsize", "discard", "nodiscard"},
		"btrfs": {"subvol", "subvolid", "compress", "compress-force", "ssd", "space_cache", "commit", "discard", "nodiscard"},
	} {
		if kind == "" || kind == k {
			all = append(all, more...)
		}
	}
	return all
}

func (m *Mount) validate(filesystem string) error {
	allowed := MountOptions(filesystem)
	for _, option := range m.Options {
		name, value, _ := strings.Cut(option, "=")
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("mount option %.100q is not among those of %s that are allowed: %s", option, filesystem, strings.Join(allowed, ", "))
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`,"'\`, c) }) {
			return fmt.Errorf("mount option %.100q has a character that is not allowed", option)
		}
	}
	return nil
}
