package e2fsprogs

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// maxLine is the longest line that debugfs reads whole, in bytes.
const maxLine = 8000

// maxXattr is the longest value that debugfs can be told, in bytes: it reads one
// block, which may be as short as this.
const maxXattr = 1024

// script is a list of debugfs commands, one a line. The paths in it are
// absolute and lead through no symbolic links.
type script struct {
	strings.Builder
	at string // where the last cd went
}

// quote writes a word of debugfs's language: in double quotes, those inside
// doubled. Nothing else is special there, but a line ends at a line break. What
// begins like an inode number, "<12>", is one only in place of a whole path.
func quote(word string) (string, error) {
	if strings.ContainsAny(word, "\n\r\x00") {
		return "", fmt.Errorf("%w: %q has a line break or NUL, which debugfs cannot be told", rootfs.ErrChange, word)
	}
	return `"` + strings.ReplaceAll(word, `"`, `""`) + `"`, nil
}

// add appends a command; words are quoted.
func (s *script) add(command string, words ...string) error {
	line := command
	for _, word := range words {
		quoted, err := quote(word)
		if err != nil {
			return err
		}
		line += " " + quoted
	}
	if len(line) > maxLine {
		return fmt.Errorf("%w: %.100q... is too long for debugfs", rootfs.ErrChange, words[0])
	}
	s.WriteString(line + "\n")
	return nil
}

// enter makes the parent of a path the current directory, where some commands
// take names only.
func (s *script) enter(p string) (name string, err error) {
	dir, name := path.Split(p)
	if s.at == dir {
		return name, nil
	}
	s.at = dir
	return name, s.add("cd", dir)
}

// in appends a command about a new name in its directory.
func (s *script) in(p, command string, words ...string) error {
	name, err := s.enter(p)
	if err != nil {
		return err
	}
	return s.add(command, append([]string{name}, words...)...)
}

// unlink appends a command that takes a name away. Names in the root need the
// directory before them, or debugfs looks in the current one.
func (s *script) unlink(p, command string) error {
	name, err := s.enter(p)
	if err != nil {
		return err
	}
	return s.add(command, "./"+name)
}

// set appends a command that sets a field of an inode.
func (s *script) set(p, field string, value any) error {
	return s.add("set_inode_field", p, field, fmt.Sprint(value))
}

// attributes sets mode, owner and times of what is at a path.
func (s *script) attributes(p string, mode uint32, c *rootfs.Change, fine bool) error {
	seconds, extra, err := diskTime(c.ModTime, fine)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	fields := []struct {
		name  string
		value any
	}{{"mode", fmt.Sprintf("0%o", mode)}, {"uid", c.UID}, {"gid", c.GID}}
	for _, f := range fields {
		if err := s.set(p, f.name, f.value); err != nil {
			return err
		}
	}
	times := []string{"atime", "mtime", "ctime"}
	if fine {
		times = append(times, "crtime")
	}
	for _, name := range times {
		if err := s.set(p, name, fmt.Sprintf("@%d", seconds)); err != nil {
			return err
		}
		if !fine {
			continue
		}
		if err := s.set(p, name+"_extra", extra); err != nil {
			return err
		}
	}
	return nil
}

// diskTime encodes a time: the low 32 bits of its seconds, and two more of them
// with the nanoseconds where inodes have room for that.
func diskTime(t time.Time, fine bool) (seconds, extra uint32, err error) {
	const first, coarseEnd, fineEnd = -1 << 31, 1 << 31, 1<<34 - 1<<31
	at, end := t.Unix(), int64(coarseEnd)
	if fine {
		end = fineEnd
	}
	if at < first || at >= end {
		return 0, 0, fmt.Errorf("%w: the file system has no room for the time %s", rootfs.ErrChange, t.UTC())
	}
	epoch := (at - int64(int32(at))) >> 32
	return uint32(at), uint32(t.Nanosecond())<<2 | uint32(epoch), nil
}

// xattrs sets extended attributes; spool keeps a value in a file and returns
// its name.
func (s *script) xattrs(p string, values map[string][]byte, spool func([]byte) (string, error)) error {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if prefix, rest, _ := strings.Cut(name, "."); rest == "" || !slices.Contains([]string{"user", "system", "trusted", "security"}, prefix) {
			return fmt.Errorf("%w: extended attribute %q", rootfs.ErrChange, name)
		}
		if len(values[name]) > maxXattr {
			return fmt.Errorf("%w: extended attribute %q of %d bytes", rootfs.ErrChange, name, len(values[name]))
		}
		file, err := spool(values[name])
		if err != nil {
			return err
		}
		if err := s.add("ea_set -f "+file, p, name); err != nil {
			return err
		}
	}
	return nil
}
