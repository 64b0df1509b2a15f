package bootentry

import (
	"fmt"
	"strings"
)

// entry runs an entry's block as far as needed to see what it boots. It returns
// nil for one that boots no Linux. Variables that it sets stay its own.
func (m *machine) entry(block []statement, title, id string) (*Entry, error) {
	inner := &machine{functions: m.functions, steps: m.steps, depth: m.depth, menu: &menu{variables: make(map[string]string)}}
	for name, value := range m.menu.variables {
		inner.menu.variables[name] = value
	}
	inner.steps += len(m.menu.variables) / stepBytes // copying them for every entry is work
	e := &Entry{Title: title, ID: id}
	err := inner.boot(block, e)
	if err == nil && e.Kernel != "" && len(e.Initrds) == 0 {
		err = inner.fallback(block, e)
	}
	m.steps = inner.steps
	e.Doubts = inner.menu.doubts
	if err != nil || e.Kernel == "" {
		return nil, err
	}
	return e, nil
}

// boot runs statements of an entry, and takes the kernel and initrds they load.
func (m *machine) boot(block []statement, e *Entry) error {
	for _, s := range block {
		if len(s.clauses) > 0 {
			if err := m.bootClauses(s.clauses, e); err != nil {
				return err
			}
			continue
		}
		args, err := m.expand(s.words)
		if err != nil {
			return err
		}
		if len(args) > 1 {
			switch args[0] {
			case "linux", "linux16", "linuxefi":
				e.Kernel, e.Options = bootPath(args[1]), strings.Join(quoteAll(args[2:]), " ")
				continue
			case "initrd", "initrd16", "initrdefi":
				e.Initrds = nil
				for _, file := range args[1:] {
					e.Initrds = append(e.Initrds, bootPath(file))
				}
				continue
			}
		}
		if _, _, err := m.run([]statement{s}, ""); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) bootClauses(clauses []clause, e *Entry) error {
	for _, c := range clauses {
		met := true
		if c.condition != nil {
			var err error
			if _, met, err = m.run(c.condition, ""); err != nil {
				return err
			}
		}
		if met {
			m.depth++
			defer func() { m.depth-- }()
			return m.boot(c.body, e)
		}
	}
	return nil
}

// fallback looks for the branch of an entry that boots the same kernel with an
// initrd: with GRUB_FORCE_PARTUUID, Ubuntu's entries try without one at first, and
// GRUB takes that branch when the boot has failed.
func (m *machine) fallback(block []statement, e *Entry) error {
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > maxDepth {
		return fmt.Errorf("%w: conditions nested more than %d deep", ErrMalformed, maxDepth)
	}
	for _, s := range block {
		for _, c := range s.clauses {
			if m.steps++; m.steps > maxSteps {
				return fmt.Errorf("%w: more than %d steps", ErrMalformed, maxSteps)
			}
			other := &Entry{}
			if err := m.boot(c.body, other); err != nil {
				return err
			}
			if len(other.Initrds) > 0 && (other.Kernel == "" || other.Kernel == e.Kernel) {
				e.Initrds = other.Initrds
				if other.Kernel != "" {
					e.Options = other.Options
				}
				return nil
			}
			if err := m.fallback(c.body, e); err != nil || len(e.Initrds) > 0 {
				return err
			}
		}
	}
	return nil
}

// bootPath drops GRUB's device, as in ($root)/vmlinuz.
func bootPath(file string) string {
	if strings.HasPrefix(file, "(") {
		if _, path, ok := strings.Cut(file, ")"); ok {
			return path
		}
	}
	return file
}

// quoteAll quotes arguments with spaces as the kernel's own parser reads them.
func quoteAll(args []string) []string {
	quoted := make([]string, 0, len(args))
	for _, a := range args {
		if strings.ContainsAny(a, " \t") && !strings.Contains(a, `"`) {
			if name, value, ok := strings.Cut(a, "="); ok {
				a = name + `="` + value + `"`
			} else {
				a = `"` + a + `"`
			}
		}
		quoted = append(quoted, a)
	}
	return quoted
}

// test evaluates what stands behind [ or test. Files are never there: menus ask
// for fonts and for files that people add, and neither is read.
func test(args []string) bool {
	if len(args) > maxTest {
		return false
	}
	if n := len(args); n > 0 && args[n-1] == "]" {
		args = args[:n-1]
	}
	for i, a := range args {
		if a == "-o" {
			return test(args[:i]) || test(args[i+1:])
		}
	}
	for i, a := range args {
		if a == "-a" {
			return test(args[:i]) && test(args[i+1:])
		}
	}
	if len(args) > 0 && args[0] == "!" {
		return !test(args[1:])
	}
	switch len(args) {
	case 1:
		return args[0] != ""
	case 2:
		switch args[0] {
		case "-n":
			return args[1] != ""
		case "-z":
			return args[1] == ""
		}
	case 3:
		switch args[1] {
		case "=", "==", "-eq":
			return args[0] == args[2]
		case "!=", "-ne":
			return args[0] != args[2]
		}
	}
	return false
}
