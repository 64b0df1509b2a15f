package e2fsprogs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
)

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 40

// node is what is at a path after the changes planned so far.
type node struct {
	mode   uint32 // type and permissions; 0 for nothing
	target string // of a symbolic link
	file   *links
	made   *rootfs.Change // by which change, nil for what the image has
	source string         // the file with the data, of a regular file that was made
}

// links counts the names of a file.
type links struct{ count int }

func (n *node) is(mode uint32) bool { return n.mode&rootfs.ModeType == mode }

// tree is the image's tree as the changes planned so far leave it. Its paths
// begin with a slash and lead through no symbolic links.
type tree struct {
	volume  *ext4.FS
	changed map[string]*node
	files   map[uint64]*links // of the image, by inode
}

func newTree(volume *ext4.FS) *tree {
	return &tree{volume: volume, changed: map[string]*node{}, files: map[uint64]*links{}}
}

// relative is a path as the reader wants it.
func relative(p string) string {
	if p == "/" {
		return "."
	}
	return p[1:]
}

// at finds what is at a path.
func (t *tree) at(p string) (*node, error) {
	if n, found := t.changed[p]; found {
		return n, nil
	}
	if p != "/" {
		parent, err := t.at(path.Dir(p))
		if err != nil {
			return nil, err
		}
		if parent.made != nil || !parent.is(rootfs.ModeDir) {
			return &node{}, nil
		}
	}
	found, err := t.volume.Lstat(relative(p))
	if errors.Is(err, fs.ErrNotExist) {
		return &node{}, nil
	}
	if err != nil {
		return nil, err
	}
	stat := found.Sys().(*rootfs.Stat)
	n := &node{mode: stat.Mode}
	if n.is(rootfs.ModeSymlink) {
		if n.target, err = t.volume.ReadLink(relative(p)); err != nil {
			return nil, err
		}
	}
	if t.files[stat.Inode] == nil {
		t.files[stat.Inode] = &links{int(stat.Links)}
	}
	n.file = t.files[stat.Inode]
	return n, nil
}

// names lists what is in a directory.
func (t *tree) names(p string) ([]string, error) {
	n, err := t.at(p)
	if err != nil {
		return nil, err
	}
	var names []string
	if n.made == nil {
		list, err := t.volume.ReadDir(relative(p))
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			if _, changed := t.changed[path.Join(p, d.Name())]; !changed {
				names = append(names, d.Name())
			}
		}
	}
	for changed, n := range t.changed {
		if changed != "/" && path.Dir(changed) == p && n.mode != 0 {
			names = append(names, path.Base(changed))
		}
	}
	return names, nil
}

// resolve finds where a path leads, following symbolic links; with last, the
// last one too. Missing directories are made by mkdir. What the last name leads
// to need not exist.
func (t *tree) resolve(name string, last bool, mkdir func(p string) error) (string, error) {
	at, followed := "/", 0
	pending := strings.Split(name, "/")
	for len(pending) > 0 {
		first := pending[0]
		pending = pending[1:]
		switch first {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, first)
		n, err := t.at(next)
		if err != nil {
			return "", err
		}
		switch end := len(pending) == 0; {
		case n.is(rootfs.ModeSymlink) && (last || !end):
			if followed++; followed > maxLinks {
				return "", fmt.Errorf("%w: %s leads through too many symbolic links", rootfs.ErrChange, name)
			}
			if strings.HasPrefix(n.target, "/") {
				at = "/"
			}
			pending = append(strings.Split(n.target, "/"), pending...)
			continue
		case end || n.is(rootfs.ModeDir):
		case n.mode != 0:
			return "", fmt.Errorf("%w: %s is not a directory", rootfs.ErrChange, next)
		default:
			if err := mkdir(next); err != nil {
				return "", err
			}
		}
		at = next
	}
	return at, nil
}
