package ext4_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

func TestPaths(t *testing.T) {
	volume := rootfstest.Open(t, rootfstest.Make(t, 128, rootfstest.Tree(t), "-t", "ext4"))
	for _, name := range []string{"links/short", "links/absolute", "links/outside", "links/59", "links/60", "links/long", "links/up", "links/hard", "small"} {
		if data, err := fs.ReadFile(volume, name); err != nil || string(data) != "hello" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if found, err := volume.Stat(name); err != nil || found.Size() != 5 {
			t.Errorf("stat %s: %v", name, err)
		}
	}
	for name, want := range map[string]int64{"links/dir/59": 59, "links/slash/60": 60, "links/through": 59} {
		if found, err := volume.Stat(name); err != nil || found.Size() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := volume.ReadDir("links/dir"); err != nil || len(list) != 12 {
		t.Errorf("links/dir: %d names, %v", len(list), err)
	}
	for name, want := range map[string]error{
		"links/loop": syscall.ELOOP, "links/ping": syscall.ELOOP, "links/loop/x": syscall.ELOOP, "links/dangling": fs.ErrNotExist, "missing": fs.ErrNotExist,
		"small/x": syscall.ENOTDIR, "links/short/x": syscall.ENOTDIR, "/small": fs.ErrInvalid, "../small": fs.ErrInvalid, "links/../small": fs.ErrInvalid,
		"": fs.ErrInvalid, "small/": fs.ErrInvalid, "..": fs.ErrInvalid, "a\x00b": fs.ErrInvalid, "./small": fs.ErrInvalid,
	} {
		_, err := volume.Open(name)
		var about *fs.PathError
		if !errors.Is(err, want) || !errors.As(err, &about) || about.Path != name {
			t.Errorf("open %q: %v, want %v", name, err, want)
		}
	}
	if target, err := volume.ReadLink("links/loop"); err != nil || target != "loop" {
		t.Errorf("readlink: %q, %v", target, err)
	}
	if _, err := volume.ReadLink("small"); err == nil {
		t.Error("a file is a link")
	}
	if _, err := volume.ReadDir("small"); err == nil {
		t.Error("a file is a directory")
	}
	if _, err := fs.ReadFile(volume, "links"); err == nil {
		t.Error("a directory is a file")
	}
	if _, err := volume.Open(strings.Repeat("links/", 1000) + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestFS holds the reader against what io/fs asks for, on a tree whose names
// fs.ValidPath likes.
func TestFS(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4", "-O", "inline_data")
	rootfstest.Debugfs(t, image, "mkdir a", "cd a", "write path_test.go b", "symlink link b")
	if err := fstest.TestFS(rootfstest.Open(t, image), "a/b", "a/link", "lost+found"); err != nil {
		t.Error(err)
	}
}

// TestDirectoryInItself gives a directory a second name inside itself.
func TestDirectoryInItself(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4")
	rootfstest.Debugfs(t, image, "mkdir a", "ln a a/a")
	if _, err := rootfstest.Open(t, image).Stat("a/a"); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Error(err)
	}
}
