package e2fsprogs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// TestCopyTree moves the tree of one file system into another, as a separate
// /boot is moved into the root.
func TestCopyTree(t *testing.T) {
	tree := rootfstest.Tree(t)
	for _, name := range []string{"odd/line\nbreak", "odd/return\rhere"} {
		if err := os.Remove(filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	source := rootfstest.Make(t, 128, tree, "-t", "ext4")
	rootfstest.Debugfs(t, source, "ea_set small user.a value", "sif small uid 70001", "mknod null c 1 3", "mknod fifo p")
	target := rootfstest.Make(t, 160, "", "-t", "ext4")
	from := rootfstest.Open(t, source)
	changes, err := rootfs.CopyTree(from, ".", "boot")
	if err != nil {
		t.Fatal(err)
	}
	if err := e2fsprogs.Apply(t.Context(), target, 0, changes); err != nil {
		t.Fatal(err)
	}
	if err := e2fsprogs.Check(t.Context(), target, 0); err != nil {
		t.Fatal(err)
	}
	want, got := listing(t, from, "."), listing(t, rootfstest.Open(t, target), "boot")
	for name := range want {
		if want[name] != got[name] {
			t.Errorf("%q: %s, want %s", name, got[name], want[name])
		}
	}
	if len(want) != len(got) || len(want) < 500 {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	part, err := rootfs.CopyTree(from, "links", "/a/b")
	if err != nil || !slices.ContainsFunc(part, func(c rootfs.Change) bool { return c.Path == "/a/b/short" && c.Target == "../small" }) {
		t.Errorf("a directory: %v", err)
	}
}

// listing describes all files below a volume's directory.
func listing(t *testing.T, volume rootfs.Volume, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(volume, dir, func(name string, d fs.DirEntry, err error) error {
		short, relative := filepath.Rel(dir, name)
		if err = errors.Join(err, relative); err != nil || short == "." {
			return err
		}
		if short == "lost+found" {
			return fs.SkipDir
		}
		info, err := volume.Lstat(name)
		if err != nil {
			return err
		}
		xattrs, err := volume.Xattrs(name)
		if err != nil {
			return err
		}
		s := info.Sys().(*rootfs.Stat)
		links := s.Links
		if d.IsDir() {
			links = 0
		}
		line := fmt.Sprintf("%o %d:%d %d %d %s %d:%d %q", s.Mode, s.UID, s.GID, links, s.Blocks, s.Mtime, s.Major, s.Minor, slices.Sorted(maps.Keys(xattrs)))
		if d.Type() == fs.ModeSymlink {
			target, err := volume.ReadLink(name)
			line += target
			if err != nil {
				return err
			}
		}
		all[short] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
