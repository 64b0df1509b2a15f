package kmod

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"
)

// maxModinfo bounds the .modinfo section, in bytes.
const maxModinfo = 1 << 20

// Modinfo is what a module says of itself in its .modinfo section.
type Modinfo struct {
	Name     string
	Release  string   // of the kernel it was built for: the first word of vermagic
	Depends  []string // names of modules that must be loaded before
	SoftPre  []string // modules or aliases that should be loaded before
	Aliases  []string // other names of it, without those that have wildcards
	Unsigned bool     // without the signature that CONFIG_MODULE_SIG appends
}

// ParseModinfo reads a decompressed module. The error wraps ErrMalformed.
func ParseModinfo(module []byte) (*Modinfo, error) {
	section, err := modinfoSection(module)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m := &Modinfo{Unsigned: !bytes.HasSuffix(module, []byte("~Module signature appended~\n"))}
	for field := range strings.SplitSeq(string(section), "\x00") {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "name":
			m.Name = canonical(value)
		case "vermagic":
			m.Release, _, _ = strings.Cut(value, " ")
		case "depends":
			m.Depends = append(m.Depends, names(value)...)
		case "alias":
			if !strings.ContainsAny(value, "*?[") {
				m.Aliases = append(m.Aliases, canonical(value))
			}
		case "softdep":
			m.SoftPre = append(m.SoftPre, softPre(value)...)
		}
	}
	for _, name := range m.Depends {
		if !validName(name) {
			return nil, fmt.Errorf("%w: .modinfo: depends on %.100q", ErrMalformed, name)
		}
	}
	return m, nil
}

func modinfoSection(module []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_REL {
		return nil, fmt.Errorf("no module for x86-64: %s, %s, %s", f.Class, f.Machine, f.Type)
	}
	s := f.Section(".modinfo")
	if s == nil || s.Type != elf.SHT_PROGBITS {
		return nil, fmt.Errorf("no .modinfo section")
	}
	if s.Flags&elf.SHF_COMPRESSED != 0 || s.Size > maxModinfo {
		return nil, fmt.Errorf(".modinfo section of %d bytes, %s", s.Size, s.Flags)
	}
	return s.Data()
}

// names splits a comma-separated list.
func names(list string) (all []string) {
	for name := range strings.SplitSeq(list, ",") {
		if name != "" {
			all = append(all, canonical(name))
		}
	}
	return all
}

// softPre reads a soft dependency of a module, "pre: NAME... post: NAME...".
// Words before either come from MODULE_SOFTDEP of careless authors; modprobe(8)
// ignores them, too.
func softPre(value string) (all []string) {
	pre := false
	for _, word := range strings.Fields(value) {
		switch {
		case strings.HasSuffix(word, ":"):
			pre = word == "pre:"
		case pre:
			all = append(all, canonical(word))
		}
	}
	return all
}
