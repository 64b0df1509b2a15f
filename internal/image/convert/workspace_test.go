package convert

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func TestWorkspace(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "image")
	held, err := openWorkspace(output)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(held.dir); err != nil || info.Mode().Perm() != 0o700 || filepath.Dir(held.dir) != dir {
		t.Errorf("%v, %v", info, err)
	}
	abandoned := filepath.Join(dir, ".image.snpguard-1234")
	others := []string{filepath.Join(dir, ".other.snpguard-1234"), filepath.Join(dir, "image.snpguard-1234")}
	for _, path := range append(others, abandoned) {
		put(t, path, "file", "x")
	}
	put(t, dir, ".image.snpguard-file", "a file is none of ours")
	second, err := openWorkspace(output)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an abandoned one is left: %v", err)
	}
	for _, path := range append(others, held.dir, filepath.Join(dir, ".image.snpguard-file")) {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
	if err := second.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(second.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a closed one is left: %v", err)
	}
	// What is kept goes with the next one.
	kept := held.keep()
	third, err := openWorkspace(output)
	if err != nil {
		t.Fatal(err)
	}
	defer third.close() //nolint:errcheck // a temporary directory
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was kept is left: %v", err)
	}
	if _, err := openWorkspace(filepath.Join(dir, "none", "image")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
	if _, err := lockDir(third.dir); !errors.Is(err, errLocked) {
		t.Errorf("locked twice: %v", err)
	}
}

// finished is a conversion that has only to be published.
func finished(t *testing.T, dir string, replace bool) *conversion {
	t.Helper()
	c := &conversion{Options: &Options{Output: filepath.Join(dir, "image"), Staging: filepath.Join(dir, "staging"), Replace: replace}}
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close(nil) }) //nolint:errcheck // it may be closed already
	put(t, c.work.dir, "image", "new")
	put(t, c.staged(), "file", "new")
	return c
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return string(data)
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	if err := finished(t, dir, false).publish(); err != nil || content(t, dir, "image") != "new" || content(t, dir, "staging/file") != "new" {
		t.Errorf("published: %v", err)
	}
	// What another has made in the meantime stays.
	for _, name := range []string{"image", "staging/file"} {
		dir := t.TempDir()
		put(t, dir, name, "old")
		if err := finished(t, dir, false).publish(); !errors.Is(err, fs.ErrExist) || content(t, dir, name) != "old" {
			t.Errorf("%s: %v, %q", name, err, content(t, dir, name))
		}
		if got := content(t, dir, "image") + content(t, dir, "staging/file"); got != "old" {
			t.Errorf("%s: half is published", name)
		}
	}
	// And is replaced where that was asked for.
	dir = t.TempDir()
	put(t, dir, "image", "old")
	put(t, dir, "staging/file", "old")
	put(t, dir, "staging/more", "old")
	if err := finished(t, dir, true).publish(); err != nil || content(t, dir, "image") != "new" || content(t, dir, "staging/file") != "new" || content(t, dir, "staging/more") != "" {
		t.Errorf("replaced: %v", err)
	}
	// What cannot be replaced in whole stays in whole.
	dir = t.TempDir()
	put(t, dir, "image/directory", "old")
	put(t, dir, "staging/file", "old")
	if err := finished(t, dir, true).publish(); err == nil || content(t, dir, "image/directory") != "old" || content(t, dir, "staging/file") != "old" {
		t.Errorf("half replaced: %v, %q", err, content(t, dir, "staging/file"))
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "source", "x")
	put(t, dir, "old", "x")
	put(t, dir, "thesis/file", "x")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "earlier"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (&staging.Conversion{Format: staging.Format, ImageID: wire.NewUUID()}).Write(filepath.Join(dir, "earlier")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "hard"} {
		link := os.Symlink
		if name == "hard" {
			link = os.Link
		}
		if err := link(filepath.Join(dir, "source"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		out, staging string
		replace      bool
		want         string // in the first error; "" for none
	}{
		{"new", "newer", false, ""},
		{"new", "newer", true, ""},
		{"", "newer", false, "is missing"},
		{"new", "", false, "is missing"},
		{"old", "newer", false, "file already exists"},
		{"old", "newer", true, ""},
		{"empty", "newer", true, "is not a file and cannot be replaced"},
		{"source", "newer", true, "is the source image itself"},
		{"link", "newer", true, "is the source image itself"},
		{"hard", "newer", true, "is the source image itself"},
		{"new", "earlier", false, "file already exists"},
		{"new", "earlier", true, ""},
		{"new", "empty", true, ""},
		{"new", "thesis", true, "is not replaced: not the staging directory"},
		{"new", "old", true, "not a directory"},
		{"new", ".", true, "is inside this directory"},
		{"earlier/new", "earlier", true, "is inside this directory"},
		{"new", "new", false, "is inside this directory"},
		{"none/new", "newer", false, "no such file"},
		{"new", "old/newer", false, "not a directory"},
	} {
		in := func(name string) string {
			if name == "" {
				return ""
			}
			return filepath.Join(dir, name)
		}
		o := &Options{Input: in("source"), Output: in(test.out), Staging: in(test.staging), Replace: test.replace}
		err := o.checkOutput()
		if err == nil {
			err = o.checkStaging()
		}
		if test.want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
