package kmod

import (
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// Module is a module to be loaded.
type Module struct {
	Name string // with underscores
	Path string // of its file, in the image or the package
	Data []byte // decompressed, with its signature
}

// Closure is what has to be loaded for a list of wanted modules.
type Closure struct {
	Modules []Module // in load order: each after all that it depends on
	Builtin []string // wanted, and part of the kernel
	Absent  []string // wanted, not required, and not there
}

// MissingError is a kernel without a module that the agent cannot do without.
type MissingError struct {
	Release string
	Names   []string // of modules, or "A or B" for a group
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("Linux %s has neither built in nor as a module: %s", e.Release, strings.Join(e.Names, ", "))
}

// Missing returns what of the wanted modules is required and not there, nil when
// nothing is missing. It reads no module.
func (t *Tree) Missing(wanted []Wanted) *MissingError {
	missing := &MissingError{Release: t.release}
	groups := make(map[string][]string)
	met := make(map[string]bool)
	var order []string
	for _, w := range wanted {
		there := t.State(w.Name) != Absent
		if w.Required && !there {
			missing.Names = append(missing.Names, w.Name)
		}
		if w.Group == "" {
			continue
		}
		if groups[w.Group] == nil {
			order = append(order, w.Group)
		}
		groups[w.Group] = append(groups[w.Group], w.Name)
		met[w.Group] = met[w.Group] || there
	}
	for _, g := range order {
		if !met[g] {
			missing.Names = append(missing.Names, strings.Join(groups[g], " or "))
		}
	}
	if len(missing.Names) == 0 {
		return nil
	}
	return missing
}

// Closure returns the wanted modules and all that they depend on. The same tree
// gives the same answer. The error is a *MissingError, or wraps ErrCycle or
// ErrMalformed.
func (t *Tree) Closure(wanted []Wanted) (*Closure, error) {
	if missing := t.Missing(wanted); missing != nil {
		return nil, missing
	}
	w := &walk{tree: t, seen: make(map[string]*node)}
	c := &Closure{}
	for _, want := range wanted {
		name := canonical(want.Name)
		switch t.State(name) {
		case Builtin:
			c.Builtin = append(c.Builtin, name)
		case Absent:
			c.Absent = append(c.Absent, name)
		case Loadable:
			if err := w.visit(name, nil); err != nil {
				return nil, fmt.Errorf("modules of Linux %s: %w", t.release, err)
			}
		}
	}
	c.Modules = w.order
	return c, nil
}

// walk goes through the graph of dependencies, depth first.
type walk struct {
	tree  *Tree
	seen  map[string]*node
	order []Module
	total int64
}

// node is a module that was read.
type node struct {
	module Module
	hard   []string // must be loaded before
	soft   []string // should be loaded before
	placed bool     // in the order
}

// visit places a module behind all that it depends on. above are the modules
// that wait for it.
func (w *walk) visit(name string, above []string) error {
	if slices.Contains(above, name) {
		return fmt.Errorf("%w: %s", ErrCycle, strings.Join(append(above, name), " needs "))
	}
	n, err := w.load(name, above)
	if err != nil || n == nil || n.placed {
		return err
	}
	path := append(slices.Clone(above), name)
	for _, soft := range n.soft {
		if w.softFits(soft, path) {
			if err := w.visit(soft, path); err != nil {
				return err
			}
		}
	}
	for _, hard := range n.hard {
		if err := w.visit(hard, path); err != nil {
			return err
		}
	}
	if !n.placed {
		n.placed = true
		w.order = append(w.order, n.module)
	}
	return nil
}

// load reads a module once. It returns nil for one that is built in.
func (w *walk) load(name string, above []string) (*node, error) {
	if n, ok := w.seen[name]; ok {
		return n, nil
	}
	switch w.tree.State(name) {
	case Builtin:
		w.seen[name] = nil
		return nil, nil
	case Absent:
		by := "it is wanted"
		if len(above) > 0 {
			by = above[len(above)-1] + " needs it"
		}
		return nil, fmt.Errorf("%w: %s is absent, and %s", ErrMalformed, name, by)
	}
	n, err := w.tree.node(name)
	if err != nil {
		return nil, err
	}
	w.total += int64(len(n.module.Data))
	if len(w.seen) >= maxModules || w.total > maxTotal {
		return nil, fmt.Errorf("%w: the agent's modules need more than %d files or %s", ErrMalformed, maxModules, size.Text(maxTotal))
	}
	w.seen[name] = n
	return n, nil
}

// softFits says whether a soft dependency can be met: it and all that it needs
// are there, and none of that waits for it. One that cannot is left out, as
// modprobe(8) does.
func (w *walk) softFits(name string, above []string) bool {
	todo := []string{name}
	done := make(map[string]bool)
	for len(todo) > 0 {
		name, todo = todo[0], todo[1:]
		if done[name] {
			continue
		}
		done[name] = true
		if slices.Contains(above, name) || w.tree.State(name) == Absent {
			return false
		}
		n, err := w.load(name, above)
		if err != nil {
			return false
		}
		if n != nil {
			todo = append(todo, n.hard...)
		}
	}
	return true
}

// node reads a module and what it says that it depends on.
func (t *Tree) node(name string) (*node, error) {
	f := t.files[name]
	data, err := t.read(f)
	if err != nil {
		return nil, err
	}
	info, err := ParseModinfo(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	if info.Release != t.release {
		return nil, fmt.Errorf("%w: %s was built for Linux %.100q", ErrMalformed, f.path, info.Release)
	}
	if info.Name != "" && info.Name != name {
		return nil, fmt.Errorf("%w: %s calls itself %.100q", ErrMalformed, f.path, info.Name)
	}
	n := &node{module: Module{Name: name, Path: f.path, Data: data}, hard: slices.Clone(info.Depends)}
	for _, need := range f.needs {
		if !slices.Contains(n.hard, need) {
			n.hard = append(n.hard, need)
		}
	}
	for _, soft := range info.SoftPre {
		soft, err := t.resolve(soft)
		if err != nil {
			return nil, err
		}
		if t.State(soft) == Loadable {
			n.soft = append(n.soft, soft)
		}
	}
	return n, nil
}
