package kmod

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
)

// Dir is where an image keeps its modules, a directory a release.
const Dir = "lib/modules"

// Tree is what an image and added packages have of modules for one release.
type Tree struct {
	release string
	files   map[string]file // by name
	builtin map[string]bool
	alias   map[string]string
	unread  []string // modules whose aliases are not in alias yet, where no index lists them
}

// file is a module that is there.
type file struct {
	fsys  fs.FS
	path  string   // in fsys
	needs []string // what modules.dep says
}

// State says how a kernel has a module.
type State int

// The states of a module.
const (
	Absent State = iota
	Builtin
	Loadable
)

func (s State) String() string {
	return [...]string{"absent", "built in", "module"}[s]
}

// Open reads lib/modules/RELEASE of an image's root, and lays the files of
// packages, as OpenPackage gives them, over it: where both have a module the
// package's is taken. The error is ErrNoTree where neither has any module for
// the release, ErrNoIndex where the image's have no index, and wraps ErrMalformed for
// files that cannot be read.
func Open(root fs.FS, release string, packages ...fs.FS) (*Tree, error) {
	if !ValidRelease(release) {
		return nil, fmt.Errorf("%w: release %.100q", ErrMalformed, release)
	}
	t := &Tree{release: release, files: make(map[string]file)}
	if err := t.readImage(root); err != nil {
		return nil, fmt.Errorf("modules of Linux %s: %w", release, err)
	}
	for _, p := range packages {
		if err := t.overlay(p); err != nil {
			return nil, fmt.Errorf("modules of Linux %s: %w", release, err)
		}
	}
	if len(t.files) == 0 && len(t.builtin) == 0 {
		return nil, fmt.Errorf("%w: neither %s/%s/modules.dep nor a package has any", ErrNoTree, Dir, release)
	}
	return t, nil
}

// ValidRelease takes a kernel's release that is one path element of harmless
// characters.
func ValidRelease(release string) bool {
	return release != "" && release[0] != '.' && len(release) <= 64 && strings.IndexFunc(release, func(c rune) bool {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._+~-", c)
		return !ok
	}) < 0
}

func (t *Tree) readImage(root fs.FS) error {
	dir := path.Join(Dir, t.release)
	index := make(map[string][]byte)
	for _, name := range []string{"modules.dep", "modules.builtin", "modules.alias"} {
		content, err := readIndex(root, path.Join(dir, name))
		if err != nil {
			return err
		}
		index[name] = content
	}
	if index["modules.dep"] == nil {
		if info, err := fs.Stat(root, path.Join(dir, "kernel")); err == nil && info.IsDir() {
			return fmt.Errorf("%w: %s has modules without the index that depmod writes: in the image, run depmod -a %s or install the kernel's package again", ErrNoIndex, dir, t.release)
		}
	}
	listed, err := parseDep(index["modules.dep"])
	if err != nil {
		return err
	}
	for name, d := range listed {
		t.files[name] = file{root, path.Join(dir, d.file), d.needs}
	}
	t.builtin = parseBuiltin(index["modules.builtin"])
	t.alias = parseAlias(index["modules.alias"])
	return nil
}

// overlay adds a package's modules. It has no index: their files are looked for.
func (t *Tree) overlay(pkg fs.FS) error {
	err := fs.WalkDir(pkg, path.Join(Dir, t.release), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of another release
		}
		if err != nil {
			return err
		}
		if module := Name(name); d.Type().IsRegular() && validName(module) {
			t.files[module] = file{fsys: pkg, path: name}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list package: %w", err)
	}
	return nil
}

// State says how the kernel has a module of this name. modules.dep may name a
// file that is not there: that is Absent.
func (t *Tree) State(name string) State {
	name = canonical(name)
	if f, ok := t.files[name]; ok {
		if info, err := fs.Stat(f.fsys, f.path); err == nil && info.Mode().IsRegular() {
			return Loadable
		}
		return Absent
	}
	if t.builtin[name] {
		return Builtin
	}
	return Absent
}

// read returns a module's decompressed bytes.
func (t *Tree) read(f file) ([]byte, error) {
	in, err := f.fsys.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.path, err)
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrMalformed, f.path)
	}
	content, err := decompress.All(io.LimitReader(in, maxModule), maxModule)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, f.path, err)
	}
	return content, nil
}
