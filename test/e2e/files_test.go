//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
)

// sameFiles finds every file of the source again, apart from what conversion.json
// says was changed, and returns how many there are.
func sameFiles(t *testing.T, before, after rootfs.Volume, c *staging.Conversion) (count int) {
	t.Helper()
	edited := map[string]bool{".": true}
	for _, path := range c.Edits {
		for path = strings.TrimPrefix(path, "/"); path != "."; path = filepath.Dir(path) {
			edited[resolved(before, path)] = true // and the directories above, whose times change
		}
	}
	if len(c.Edits) == 0 {
		t.Error("no edits")
	}
	return sameTree(t, before, after, edited)
}

// sameTree finds every file of a tree in another one, apart from what was edited, and
// returns how many there are.
func sameTree(t *testing.T, before, after rootfs.Volume, edited map[string]bool) (count int) {
	t.Helper()
	err := fs.WalkDir(before, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		count++
		if edited[path] {
			return nil
		}
		want, got := describe(t, before, path), describe(t, after, path)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: was %+v, is %+v", path, want, got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// resolved follows the links that merge /lib into /usr.
func resolved(root rootfs.Volume, path string) string {
	first, rest, _ := strings.Cut(path, "/")
	if target, err := root.ReadLink(first); err == nil {
		return filepath.Join(target, rest)
	}
	return path
}

// sameBoot finds everything of a separate /boot inside the root.
func sameBoot(t *testing.T, boot, root rootfs.Volume) {
	t.Helper()
	count := 0
	err := fs.WalkDir(boot, ".", func(path string, _ fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == "lost+found":
			return fs.SkipDir
		case path == ".":
			return nil
		}
		count++
		want, got := describe(t, boot, path), describe(t, root, filepath.Join("boot", path))
		want.Ctime, got.Ctime = "", "" // of the copy
		if !reflect.DeepEqual(want, got) {
			t.Errorf("/boot/%s: was %+v, is %+v", path, want, got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 5 {
		t.Errorf("/boot had only %d files", count)
	}
}

// samePackage finds the modules of a package in the root, unpacked by dpkg-deb.
func samePackage(t *testing.T, file string, root rootfs.Volume) {
	t.Helper()
	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", file, dir)
	count := 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, "lib/modules/") {
			return err
		}
		count++
		if want, got := hashOf(t, os.DirFS(dir), path), hashOf(t, root, path); want != got {
			t.Errorf("%s is not as in the package", path)
		}
		if info, err := root.Lstat(path); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
		return nil
	})
	if err != nil || count == 0 {
		t.Fatalf("%d modules, %v", count, err)
	}
}

// file is what has to be the same.
type file struct {
	Mode, UID, GID, Links, Major, Minor uint32
	Size                                int64
	Mtime, Ctime                        string
	Target                              string
	Xattrs                              map[string][]byte
	Hash                                string
}

func describe(t *testing.T, volume rootfs.Volume, path string) file {
	t.Helper()
	info, err := volume.Lstat(path)
	if err != nil {
		return file{Target: err.Error()}
	}
	stat := info.Sys().(*rootfs.Stat)
	d := file{
		Mode: stat.Mode, UID: stat.UID, GID: stat.GID, Links: stat.Links, Major: stat.Major, Minor: stat.Minor,
		Mtime: stat.Mtime.String(), Ctime: stat.Ctime.String(),
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		if d.Target, err = volume.ReadLink(path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	case 0:
		d.Size = stat.Size
		d.Hash = hashOf(t, volume, path)
		if d.Xattrs, err = volume.Xattrs(path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return d
}
