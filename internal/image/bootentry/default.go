package bootentry

import (
	"strconv"
	"strings"
)

// flatten lists the entries of a tree in the order of the menu.
func flatten(items []menuItem) []*Entry {
	var all []*Entry
	for _, i := range items {
		if i.entry != nil {
			all = append(all, i.entry)
		}
		all = append(all, flatten(i.children)...)
	}
	return all
}

// findDefault follows GRUB's variable "default": numbers from 0, titles or IDs,
// one a level, with ">" between. What leads nowhere is the first entry, as for
// GRUB.
func findDefault(items []menuItem, wanted string) *Entry {
	if e := follow(items, wanted); e != nil {
		return e
	}
	return first(items)
}

func follow(items []menuItem, wanted string) *Entry {
	here, below, deeper := strings.Cut(wanted, ">")
	for n, i := range items {
		byNumber := here == strconv.Itoa(n)
		if !byNumber && here != i.title && (i.id == "" || here != i.id) {
			continue
		}
		switch {
		case !i.submenu:
			return i.entry
		case deeper:
			return findDefault(i.children, below)
		default:
			return first(i.children)
		}
	}
	return nil
}

// first returns the first entry that boots Linux.
func first(items []menuItem) *Entry {
	for _, e := range flatten(items) {
		return e
	}
	return nil
}

// parseGrubenv reads GRUB's environment block: a comment, NAME=VALUE lines and
// "#" up to 1024 bytes.
func parseGrubenv(content []byte) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && name != "" {
			values[name] = strings.NewReplacer(`\\`, `\`, `\`, ``).Replace(value)
		}
	}
	return values
}
