package e2fsprogs

import (
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// plan turns changes into a script and keeps what the tree is to be afterwards.
type plan struct {
	*tree
	script  script
	spool   *spool
	now     time.Time
	seen    map[*links]bool // directories being removed
	removed []string        // files that the image has
}

// maxName is the length of a name, in bytes.
const maxName = 255

// add plans one change.
func (p *plan) add(c rootfs.Change) error {
	if c.ModTime.IsZero() {
		c.ModTime = p.now
	}
	name := strings.TrimPrefix(c.Path, "/")
	if name == "" || path.Clean("/"+name) != "/"+name || len(path.Base(name)) > maxName || strings.Contains(name, "\x00") {
		return fmt.Errorf("%w: path %q", rootfs.ErrChange, c.Path)
	}
	if c.Kind == rootfs.Remove {
		return p.remove(name)
	}
	if c.Mode&^0o7777 != 0 && c.Kind != rootfs.MakeNode {
		return fmt.Errorf("%w: mode %#o of %s", rootfs.ErrChange, c.Mode, name)
	}
	at, err := p.resolve(name, c.Kind == rootfs.MakeDir, p.mkdir)
	if err != nil {
		return err
	}
	if c.Kind == rootfs.MakeDir {
		return p.makeDir(at, &c)
	}
	source := ""
	if c.Kind == rootfs.HardLink { // before anything goes away
		if source, err = p.linkSource(c.Target, at); err != nil {
			return err
		}
	}
	old, err := p.at(at)
	if err != nil {
		return err
	}
	if old.is(rootfs.ModeDir) {
		return fmt.Errorf("%w: %s is a directory", rootfs.ErrChange, at)
	}
	if err := p.removeAt(at, old); err != nil {
		return err
	}
	switch c.Kind {
	case rootfs.WriteFile:
		return p.writeFile(at, &c)
	case rootfs.Symlink:
		return p.symlink(at, &c)
	case rootfs.HardLink:
		return p.hardLink(at, source)
	case rootfs.MakeNode:
		return p.makeNode(at, &c)
	default:
		return fmt.Errorf("%w: kind %d", rootfs.ErrChange, c.Kind)
	}
}

// mkdir makes a directory that nobody asked for but something goes into.
func (p *plan) mkdir(at string) error {
	return p.makeDir(at, &rootfs.Change{Kind: rootfs.MakeDir, Mode: 0o755, ModTime: p.now})
}

func (p *plan) makeDir(at string, c *rootfs.Change) error {
	old, err := p.at(at)
	switch {
	case err != nil || old.is(rootfs.ModeDir):
		return err
	case old.mode != 0:
		return fmt.Errorf("%w: %s is not a directory", rootfs.ErrChange, at)
	}
	if err := p.script.in(at, "mkdir"); err != nil {
		return err
	}
	return p.made(at, rootfs.ModeDir|c.Mode, c, "")
}

func (p *plan) writeFile(at string, c *rootfs.Change) error {
	source, err := p.spool.source(c)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	name, err := p.script.enter(at)
	if err != nil {
		return err
	}
	if err := p.script.add("write "+source, name); err != nil {
		return err
	}
	// On file systems with inline_data, debugfs forgets that a file ends in a hole.
	found, err := os.Stat(p.spool.path(source))
	if err != nil {
		return err
	}
	if err := p.script.set(at, "size", found.Size()); err != nil {
		return err
	}
	return p.made(at, rootfs.ModeRegular|c.Mode, c, source)
}

func (p *plan) symlink(at string, c *rootfs.Change) error {
	if c.Target == "" || len(c.Target) >= min(4096, p.volume.BlockSize()) {
		return fmt.Errorf("%w: target of %s has %d bytes", rootfs.ErrChange, at, len(c.Target))
	}
	if err := p.script.in(at, "symlink", c.Target); err != nil {
		return err
	}
	return p.made(at, rootfs.ModeSymlink|0o777, c, "")
}

func (p *plan) makeNode(at string, c *rootfs.Change) error {
	words := []string{"p"}
	switch c.Mode & rootfs.ModeType {
	case rootfs.ModeFIFO:
	case rootfs.ModeChar:
		words = []string{"c", fmt.Sprint(c.Major), fmt.Sprint(c.Minor)}
	case rootfs.ModeBlock:
		words = []string{"b", fmt.Sprint(c.Major), fmt.Sprint(c.Minor)}
	default:
		return fmt.Errorf("%w: %s is of type %#o", rootfs.ErrChange, at, c.Mode)
	}
	if err := p.script.in(at, "mknod", words...); err != nil {
		return err
	}
	return p.made(at, c.Mode, c, "")
}

// made sets the attributes of what a change made.
func (p *plan) made(at string, mode uint32, c *rootfs.Change, source string) error {
	p.changed[at] = &node{mode: mode, target: c.Target, file: &links{1}, made: c, source: source}
	if err := p.script.attributes(at, mode, c, p.volume.FineTimes()); err != nil {
		return err
	}
	return p.script.xattrs(at, c.Xattrs, p.spool.bytes)
}

// linkSource finds what a hard link is to be made of, for the path at.
func (p *plan) linkSource(target, at string) (string, error) {
	source, err := p.resolve(target, false, func(missing string) error {
		return fmt.Errorf("%w: %s does not exist", rootfs.ErrChange, missing)
	})
	if err != nil {
		return "", err
	}
	n, err := p.at(source)
	if err != nil {
		return "", err
	}
	if n.mode == 0 || n.is(rootfs.ModeDir) || source == at {
		return "", fmt.Errorf("%w: no hard link can be made of %s", rootfs.ErrChange, source)
	}
	return source, nil
}

func (p *plan) hardLink(at, source string) error {
	n, err := p.at(source)
	if err != nil {
		return err
	}
	name, err := p.script.enter(at)
	if err != nil {
		return err
	}
	if err := p.script.add("ln", source, name); err != nil {
		return err
	}
	// debugfs leaves counting to others.
	n.file.count++
	p.changed[at], p.changed[source] = n, n
	return p.script.set(at, "links_count", n.file.count)
}

// remove takes away what is at a name, if its directory is there at all.
func (p *plan) remove(name string) error {
	missing := false
	at, err := p.resolve(name, false, func(string) error { missing = true; return fmt.Errorf("missing") })
	if missing {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := p.at(at)
	if err != nil {
		return err
	}
	return p.removeAt(at, n)
}

func (p *plan) removeAt(at string, n *node) error {
	if n.mode == 0 {
		return nil
	}
	if n.is(rootfs.ModeDir) {
		if at == "/" || p.seen[n.file] {
			return fmt.Errorf("%w: directory %s contains itself", rootfs.ErrChange, at)
		}
		p.seen[n.file] = true
		names, err := p.names(at)
		if err != nil {
			return err
		}
		for _, name := range names {
			child := path.Join(at, name)
			n, err := p.at(child)
			if err != nil {
				return err
			}
			if err := p.removeAt(child, n); err != nil {
				return err
			}
		}
		p.changed[at] = &node{}
		return p.script.unlink(at, "rmdir")
	}
	if n.made == nil {
		p.removed = append(p.removed, relative(at))
	}
	n.file.count--
	p.changed[at] = &node{}
	return p.script.unlink(at, "rm")
}
