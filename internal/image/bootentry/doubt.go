package bootentry

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxDoubts bounds how many doubts are named.
const maxDoubts = 16

// doubt notes that something of a menu is not followed.
func (m *menu) doubt(what string) {
	if len(m.doubts) < maxDoubts && !slices.Contains(m.doubts, what) {
		m.doubts = append(m.doubts, what)
	}
}

func (m *machine) doubt(what string) { m.menu.doubt(what) }

// doubtCommand notes a command that decides what boots in ways that are not
// followed: by running another file or text, or inside of a function.
func (m *machine) doubtCommand(args []string) {
	switch {
	case runsMore(args[0]):
		m.doubt(quoteCommand(args))
	case slices.Contains([]string{"linux", "linux16", "linuxefi", "initrd", "initrd16", "initrdefi"}, args[0]):
		m.doubt("a function, or a command outside of entries, that loads a kernel")
	case args[0] == "set" && m.functional > 0 && slices.ContainsFunc(args[1:], func(a string) bool { return strings.HasPrefix(a, "default=") }):
		m.doubt("a function that sets the default")
	}
}

// runsMore says whether a command runs what is elsewhere: another file, or text.
func runsMore(command string) bool {
	switch command {
	case "source", ".", "configfile", "normal", "eval", "extract_entries_source", "extract_entries_configfile",
		"legacy_source", "legacy_configfile", "syslinux_source", "syslinux_configfile":
		return true
	}
	return false
}

func quoteCommand(args []string) string {
	return fmt.Sprintf("%s %.64q", args[0], strings.Join(args[1:], " "))
}

// sourced lists the files of which a script runs more outside of its entries,
// under whatever condition: whether they are there is not asked while it runs.
func (m *machine) sourced(statements []statement) (files []string, err error) {
	for _, s := range statements {
		for _, c := range s.clauses {
			more, err := m.sourced(c.body)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
		if len(s.words) < 2 || !runsMore(s.words[0].plain()) {
			continue
		}
		if m.steps++; m.steps > maxSteps {
			return nil, fmt.Errorf("%w: more than %d steps", ErrMalformed, maxSteps)
		}
		args, err := m.expand(s.words)
		if err != nil {
			return nil, err
		}
		if len(args) > 1 {
			files = append(files, args[1])
		}
	}
	return files, nil
}

// doubtSourced notes those of the files that are there: beside the menu, or where
// the script says.
func (p place) doubtSourced(m *menu, dir string) {
	for _, file := range m.sourced {
		name := strings.TrimPrefix(path.Clean("/"+bootPath(file)), "/")
		for _, at := range []string{path.Join(dir, path.Base(name)), name, path.Join("boot", name)} {
			if info, err := fs.Stat(p.fsys, at); err == nil && info.Mode().IsRegular() && path.Base(at) != "grub.cfg" {
				m.doubt(quoteCommand([]string{"source", "/" + at}))
				break
			}
		}
	}
}

// leadsElsewhere says whether a default names an item that boots no Linux. None is
// the first item.
func leadsElsewhere(items []menuItem, wanted string) bool {
	if wanted == "" {
		wanted = "0"
	}
	here, below, deeper := strings.Cut(wanted, ">")
	for n, i := range items {
		if here != strconv.Itoa(n) && here != i.title && (i.id == "" || here != i.id) {
			continue
		}
		if i.submenu && deeper {
			return leadsElsewhere(i.children, below)
		}
		return !i.submenu && i.entry == nil
	}
	return false
}
