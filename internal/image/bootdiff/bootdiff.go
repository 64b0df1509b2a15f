// Package bootdiff names every difference between what two releases boot: the version
// of the kernel, and the initrd file by file, its modules among them. It reads initrds
// as the kernel does (internal/image/initrd), in bounded memory.
package bootdiff

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/releasediff"
)

// maxNames is how many bytes the names of an initrd's files have at most in all. A
// Debian initrd with every module has 400 KiB.
const maxNames = 32 << 20

// ErrTooLarge is an initrd with more names than are compared.
var ErrTooLarge = errors.New("too many files to compare")

// Boot is what a release boots. Initrd may be empty.
type Boot struct{ Kernel, Initrd io.Reader }

// Compare returns the differences of two releases, kernel first. The error wraps
// osinfo.ErrMalformed, initrd.ErrMalformed or ErrTooLarge.
func Compare(a, b Boot) ([]releasediff.Change, error) {
	var kernels [2]string
	var files [2]*contents
	for i, boot := range []Boot{a, b} {
		var err error
		if kernels[i], err = osinfo.KernelRelease(boot.Kernel); err != nil {
			return nil, fmt.Errorf("kernel of release %s: %w", []string{"A", "B"}[i], err)
		}
		if files[i], err = list(boot.Initrd); err != nil {
			return nil, fmt.Errorf("initrd of release %s: %w", []string{"A", "B"}[i], err)
		}
	}
	var changes []releasediff.Change
	if kernels[0] != kernels[1] {
		changes = append(changes, releasediff.Change{What: "kernel version", Old: kernels[0], New: kernels[1]})
	}
	changes = append(changes, releasediff.Keyed("module", files[0].modules, files[1].modules)...)
	changes = append(changes, reordered(files[0], files[1])...)
	return append(changes, releasediff.Keyed("initrd file", files[0].files, files[1].files)...), nil
}

// contents is what an initrd unpacks to: what each file is, by name.
type contents struct {
	modules, files map[string]string
	seen           map[string]int
	order          []string // of the modules that the agent loads
	names          int      // bytes
}

// list reads an initrd to its end. A file that comes again, which replaces the first,
// has its own line, so that nothing hides behind a name.
func list(r io.Reader) (*contents, error) {
	c := &contents{modules: make(map[string]string), files: make(map[string]string), seen: make(map[string]int)}
	empty, r, err := isEmpty(r)
	if err != nil || empty {
		return c, err
	}
	return c, initrd.Walk(r, c.note, func(initrd.SegmentInfo) {})
}

func isEmpty(r io.Reader) (bool, io.Reader, error) {
	var first [1]byte
	_, err := io.ReadFull(r, first[:])
	if errors.Is(err, io.EOF) {
		return true, nil, nil
	}
	return false, io.MultiReader(strings.NewReader(string(first[:])), r), err
}

func (c *contents) note(h *cpio.Header, content io.Reader) error {
	if c.names += len(h.Name); c.names > maxNames {
		return fmt.Errorf("%w: their names have more than %d bytes", ErrTooLarge, maxNames)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return err
	}
	into, name := c.files, path.Clean(h.Name)
	if module, loaded := moduleName(name); module != "" {
		into, name = c.modules, module
		if loaded {
			c.order = append(c.order, module)
		}
	}
	what := fmt.Sprintf("mode %06o, owner %d:%d, %d bytes, SHA-256 %x", h.Mode, h.UID, h.GID, h.Size, hash.Sum(nil))
	if h.Size == 0 {
		what = fmt.Sprintf("mode %06o, owner %d:%d", h.Mode, h.UID, h.GID)
	}
	if c.seen[name]++; c.seen[name] > 1 {
		name = fmt.Sprintf("%s (entry %d)", name, c.seen[name])
	}
	into[name] = what
	return nil
}

// modules are below a directory that has the kernel's release in its name, which
// changes with every kernel: their names are what follows it. /snpguard has them by
// number, in the order of loading.
var modulePath = regexp.MustCompile(`^(?:\.?/)?(?:usr/)?lib/modules/[^/]+/(.+\.ko(?:\.[a-z0-9]+)?)$|^(?:\.?/)?snpguard/modules/[0-9]+-(.+\.ko(?:\.[a-z0-9]+)?)$`)

// moduleName returns what tells a module from others, and whether the agent loads it;
// empty for another file.
func moduleName(name string) (module string, loaded bool) {
	found := modulePath.FindStringSubmatch(name)
	if found == nil {
		return "", false
	}
	return found[1] + found[2], found[2] != ""
}

// reordered tells when modules that both initrds have are loaded in another order.
func reordered(a, b *contents) []releasediff.Change {
	old, now := common(a.order, b.modules), common(b.order, a.modules)
	if old == now {
		return nil
	}
	return []releasediff.Change{{What: "order of modules", Old: old, New: now}}
}

func common(order []string, other map[string]string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(order), func(module string) bool { return other[module] == "" }), " ")
}
