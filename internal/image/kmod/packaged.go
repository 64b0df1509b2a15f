package kmod

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// OpenPackaged reads the modules of a kernel from the files of its packages, on which
// no depmod(8) has run. What that would write of aliases is read from the modules,
// once a soft dependency names one. The error is ErrNoTree where there are none, and wraps
// ErrMalformed for files that cannot be read.
func OpenPackaged(packages fs.FS, release string) (*Tree, error) {
	if !ValidRelease(release) {
		return nil, fmt.Errorf("%w: release %.100q", ErrMalformed, release)
	}
	t := &Tree{release: release, files: make(map[string]file), alias: make(map[string]string)}
	builtin, err := readIndex(packages, path.Join(Dir, release, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("modules of Linux %s: %w", release, err)
	}
	t.builtin = parseBuiltin(builtin)
	if err := t.overlay(packages); err != nil {
		return nil, fmt.Errorf("modules of Linux %s: %w", release, err)
	}
	if len(t.files) == 0 && len(t.builtin) == 0 {
		return nil, fmt.Errorf("%w: the packages have none of Linux %s", ErrNoTree, release)
	}
	t.unread, err = t.order(packages)
	return t, err
}

// order lists all modules as depmod does: in the order of modules.order, then by path.
func (t *Tree) order(packages fs.FS) ([]string, error) {
	order, err := readIndex(packages, path.Join(Dir, t.release, "modules.order"))
	if err != nil {
		return nil, err
	}
	var modules []string
	for line := range strings.Lines(string(order)) {
		modules = append(modules, Name(strings.TrimSpace(line)))
	}
	rest := make([]string, 0, len(t.files))
	for name := range t.files {
		rest = append(rest, name)
	}
	slices.SortFunc(rest, func(a, b string) int { return strings.Compare(t.files[a].path, t.files[b].path) })
	return append(modules, rest...), nil
}

// resolve returns the module that a soft dependency names: by its name, or by an alias,
// which belongs to the first module that has it. Modules are read until it is met.
func (t *Tree) resolve(soft string) (string, error) {
	if t.State(soft) != Absent {
		return soft, nil
	}
	for t.alias[soft] == "" && len(t.unread) > 0 {
		next := t.unread[0]
		t.unread = t.unread[1:]
		if err := t.readAliases(next); err != nil {
			return "", err
		}
	}
	if target := t.alias[soft]; target != "" {
		return target, nil
	}
	return soft, nil
}

func (t *Tree) readAliases(name string) error {
	f, ok := t.files[name]
	if !ok {
		return nil
	}
	data, err := t.read(f)
	if err != nil {
		return err
	}
	info, err := ParseModinfo(data)
	if err != nil {
		return nil //nolint:nilerr // it is refused where it is wanted
	}
	for _, alias := range info.Aliases {
		if t.alias[alias] == "" {
			t.alias[alias] = name
		}
	}
	return nil
}
