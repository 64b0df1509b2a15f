package bootentry

import (
	"fmt"
	"strings"
)

// menuItem is an entry or, where it has children, a submenu.
type menuItem struct {
	title, id string
	entry     *Entry // nil for a submenu and for what boots no Linux
	children  []menuItem
	submenu   bool
}

// menu is what a script made.
type menu struct {
	items     []menuItem
	variables map[string]string
	bls       bool // the script asked for BLS entries, which come here
	doubts    []string
	sourced   []string // files of which the script may run more, whether or not it did
}

// machine runs a script.
type machine struct {
	menu       *menu
	functions  map[string][]statement
	steps      int
	depth      int
	entries    int
	functional int // functions that run, in one another
}

// runGRUB runs a grub.cfg as GRUB would on a machine with UEFI. The variables
// are those of grubenv.
func runGRUB(script string, grubenv map[string]string) (*menu, error) {
	statements, err := parse(script)
	if err != nil {
		return nil, err
	}
	m := &machine{functions: make(map[string][]statement), menu: &menu{variables: map[string]string{
		"grub_platform": "efi", "grub_cpu": "x86_64", "prefix": "/boot/grub",
		"feature_menuentry_id": "y", "feature_default_font_path": "y", "feature_timeout_style": "y",
		"feature_platform_search_hint": "y", "feature_all_video_module": "y", "feature_200_final": "y",
	}}}
	for name, value := range grubenv {
		m.menu.variables[name] = value // load_env, which every generated file calls first
	}
	items, _, err := m.run(statements, "")
	m.menu.items = items
	if err == nil {
		m.menu.sourced, err = m.sourced(statements)
	}
	return m.menu, err
}

// run executes statements; titles is the path of the submenu they are in. It
// returns the menu items they make, and whether the last command succeeded.
func (m *machine) run(statements []statement, titles string) (items []menuItem, ok bool, err error) {
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > maxDepth {
		return nil, false, fmt.Errorf("%w: functions or submenus nested more than %d deep", ErrMalformed, maxDepth)
	}
	ok = true
	for _, s := range statements {
		if m.steps++; m.steps > maxSteps {
			return nil, false, fmt.Errorf("%w: more than %d steps", ErrMalformed, maxSteps)
		}
		var more []menuItem
		if more, ok, err = m.statement(s, titles); err != nil {
			return nil, false, err
		}
		items = append(items, more...)
	}
	return items, ok, nil
}

func (m *machine) statement(s statement, titles string) ([]menuItem, bool, error) {
	if s.loop {
		m.doubt("a loop")
	}
	for _, c := range s.clauses {
		met := true
		if c.condition != nil {
			var err error
			if _, met, err = m.run(c.condition, titles); err != nil {
				return nil, false, err
			}
		}
		if met {
			return m.run(c.body, titles)
		}
	}
	if len(s.words) == 0 {
		return m.run(s.block, titles)
	}
	args, err := m.expand(s.words)
	if err != nil || len(args) == 0 {
		return nil, true, err
	}
	switch args[0] {
	case "menuentry", "submenu":
		item, err := m.item(args, s.block, titles)
		return []menuItem{item}, true, err
	case "function":
		if len(args) == 2 {
			m.functions[args[1]] = s.block
		}
		return nil, true, nil
	}
	if body, ok := m.functions[args[0]]; ok {
		m.functional++
		defer func() { m.functional-- }()
		return m.run(body, titles)
	}
	return nil, m.command(args), nil
}

// command runs what changes variables or tests them.
func (m *machine) command(args []string) bool {
	m.doubtCommand(args)
	switch args[0] {
	case "set":
		for _, a := range args[1:] {
			if name, value, ok := strings.Cut(a, "="); ok {
				m.menu.variables[name] = value
			}
		}
	case "unset":
		for _, a := range args[1:] {
			delete(m.menu.variables, a)
		}
	case "[", "test":
		return test(args[1:])
	case "false":
		return false
	case "blscfg":
		m.menu.bls = true
	default:
		if name, value, ok := strings.Cut(args[0], "="); ok && len(args) == 1 {
			m.menu.variables[name] = value
		}
	}
	return true
}

// expand puts the values of variables in place. Outside of quotes a value falls
// into words.
func (m *machine) expand(words []word) ([]string, error) {
	var args []string
	total := 0
	for _, w := range words {
		text, present := "", false
		for _, p := range w {
			value := p.text
			if p.variable {
				value = m.value(p.text)
			}
			if p.variable && !p.quoted {
				fields := strings.Fields(value)
				for len(fields) > 1 {
					args = append(args, text+fields[0])
					total += len(args[len(args)-1])
					text, fields = "", fields[1:]
				}
				value = strings.Join(fields, "")
			}
			text += value
			present = present || p.quoted || value != ""
		}
		if present {
			args = append(args, text)
		}
		if total += len(text); total > maxValue || len(args) > maxValue {
			return nil, fmt.Errorf("%w: a command of more than %d bytes", ErrMalformed, maxValue)
		}
	}
	m.steps += (total + len(args)) / stepBytes // long commands are more work
	return args, nil
}

func (m *machine) value(name string) string {
	if name == "?" {
		return "0"
	}
	return m.menu.variables[name]
}

// item makes a menu item from a menuentry or submenu command and its block.
func (m *machine) item(args []string, block []statement, titles string) (menuItem, error) {
	if m.entries++; m.entries > maxEntries {
		return menuItem{}, fmt.Errorf("%w: more than %d entries", ErrMalformed, maxEntries)
	}
	if m.functional > 0 {
		m.doubt("a function that makes entries")
	}
	item := menuItem{submenu: args[0] == "submenu"}
	for i := 1; i < len(args); i++ {
		switch {
		case args[i] == "--id" && i+1 < len(args):
			i++
			item.id = args[i]
		case strings.HasPrefix(args[i], "--id="):
			item.id = strings.TrimPrefix(args[i], "--id=")
		case strings.HasPrefix(args[i], "--") && !strings.Contains(args[i], "=") && args[i] != "--unrestricted" && i+1 < len(args):
			i++ // --class, --users, --hotkey and their value
		case !strings.HasPrefix(args[i], "-") && item.title == "":
			item.title = args[i]
		}
	}
	if len(item.title) > maxTitle {
		return item, fmt.Errorf("%w: a title of more than %d bytes", ErrMalformed, maxTitle)
	}
	full := titles + item.title
	if !item.submenu {
		var err error
		item.entry, err = m.entry(block, full, item.id)
		return item, err
	}
	var err error
	item.children, _, err = m.run(block, full+">")
	return item, err
}
