package harden

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Mount is a line of fstab(5) that mounts a block device.
type Mount struct {
	Source string // as it is written, such as "UUID=..." or "/dev/sda3"
	Target string // the directory
	Kind   string // the file system, or "auto"
}

// Mounts lists what fstab mounts from block devices beside the root, in order.
// Subvolumes that are named as the root is, and swap, are not among them. The
// error wraps ErrMalformed when there are too many bytes of it.
func Mounts(root fs.FS) ([]Mount, error) {
	r := &reader{fsys: root}
	content := r.text(fstabFile)
	if r.err != nil {
		return nil, fmt.Errorf("read mounts: %w", r.err)
	}
	source := rootSource(content)
	var list []Mount
	for line := range strings.Lines(content) {
		if m, ok := parseMount(line); ok && m.judge(source) == dropped && m.kind != "swap" {
			list = append(list, Mount{Source: plain(m.source), Target: plain(m.target), Kind: m.kind})
		}
	}
	return list, nil
}

// SeparateUsr returns what fstab mounts on /usr, a subvolume of the root's file system
// included; "" for nothing.
func SeparateUsr(root fs.FS) (source string, err error) {
	r := &reader{fsys: root}
	for line := range strings.Lines(r.text(fstabFile)) {
		if m, ok := parseMount(line); ok && path.Clean("/"+plain(m.target)) == "/usr" {
			source = plain(m.source)
		}
	}
	if r.err != nil {
		return "", fmt.Errorf("read mounts: %w", r.err)
	}
	return source, nil
}

// plain reads a field of fstab: spaces are written as octal numbers, and a tag's
// value may stand in quotes.
func plain(field string) string {
	var b strings.Builder
	for field != "" {
		if len(field) >= 4 && field[0] == '\\' {
			if c, err := strconv.ParseUint(field[1:4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				field = field[4:]
				continue
			}
		}
		b.WriteByte(field[0])
		field = field[1:]
	}
	tag, value, found := strings.Cut(b.String(), "=")
	if !found {
		return tag
	}
	return tag + "=" + strings.Trim(value, `"'`)
}
