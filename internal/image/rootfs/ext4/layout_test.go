package ext4_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// laidOut writes a new file system into a sparse file. A file's contents are its
// path at both ends.
func laidOut(t *testing.T, size int64, nodes []ext4.Node) string {
	t.Helper()
	l, err := ext4.New([16]byte{1, 2, 3}, "LABEL", size, nodes)
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	writeAt := func(b string, at int64) {
		if _, err := f.WriteAt([]byte(b), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	writeAt(string(l.Head), 0)
	for _, n := range nodes {
		if at := l.Places[n.Path].Contents; !n.Dir && n.Size > 0 {
			writeAt(n.Path, at)
			writeAt(n.Path, at+n.Size-int64(len(n.Path)))
			if at+n.Size > l.Used || at < int64(len(l.Head)) {
				t.Errorf("%s lies at %d", n.Path, at)
			}
		}
	}
	return image
}

// TestNew lets e2fsck and the reader judge, from the smallest file system to one of
// many groups, with files of many extents and directories of many blocks.
func TestNew(t *testing.T) {
	dir := func(p string) ext4.Node { return ext4.Node{Path: p, Dir: true} }
	file := func(p string, size int64) ext4.Node { return ext4.Node{Path: p, Size: size} }
	many := []ext4.Node{dir("A"), dir("A/variants")}
	for i := range 3000 {
		many = append(many, file(fmt.Sprintf("A/variants/%dxEPYC-Genoa.launch-config.json", i), 100))
	}
	for name, tc := range map[string]struct {
		mib   int64
		nodes []ext4.Node
	}{
		"empty":              {1, nil},
		"slots":              {24, []ext4.Node{dir("A"), dir("B"), dir("A/variants"), file("A/vmlinuz", 12<<20+3), file("A/empty", 0), {Path: "artifacts", Target: "A"}, file("A/variants/x.json", 4096)}},
		"one sector of it":   {129, []ext4.Node{file("a", 128<<20-4096*40)}},
		"four extents":       {700, []ext4.Node{file("four", 512<<20)}},
		"spare":              {700, []ext4.Node{{Path: "spare", Size: ext4.MaxSpare, Spare: true}, {Path: "room", Dir: true, Size: 12 << 12}, file("room/behind", 5000)}},
		"thousands of files": {40, many},
		"64 GiB":             {64 << 10, many},
	} {
		image := laidOut(t, tc.mib<<20, tc.nodes)
		rootfstest.Clean(t, image)
		fsys := rootfstest.Open(t, image)
		if fsys.Label() != "LABEL" {
			t.Errorf("%s: label %q", name, fsys.Label())
		}
		for _, n := range tc.nodes {
			info, err := fsys.Lstat(n.Path)
			if err != nil || info.IsDir() != n.Dir || n.Target == "" && info.Size() < n.Size || !n.Dir && info.Size() > n.Size && n.Target == "" {
				t.Errorf("%s: %s: %v, %v", name, n.Path, info, err)
			}
			if target, err := fsys.ReadLink(n.Path); n.Target != "" && (target != n.Target || err != nil) {
				t.Errorf("%s: %s leads to %s, %v", name, n.Path, target, err)
			}
			if n.Size > 1<<20 {
				endsWith(t, fsys, n)
			}
		}
	}
}

func endsWith(t *testing.T, fsys *ext4.FS, n ext4.Node) {
	t.Helper()
	f, err := fsys.Open(n.Path)
	if err != nil {
		t.Fatal(err)
	}
	want := n.Path
	if n.Spare {
		want = strings.Repeat("\x00", len(n.Path))
	}
	for _, at := range []int64{0, n.Size - int64(len(n.Path))} {
		b := make([]byte, len(n.Path))
		if _, err := f.(io.ReaderAt).ReadAt(b, at); string(b) != want || err != nil {
			t.Errorf("%s at %d: %q, %v", n.Path, at, b, err)
		}
	}
}

// TestNewIsDeterministic pins no bytes, only that there is one answer.
func TestNewIsDeterministic(t *testing.T) {
	nodes := []ext4.Node{{Path: "A", Dir: true}, {Path: "A/b", Size: 1}}
	one, errOne := ext4.New([16]byte{1}, "x", 1<<20, nodes)
	two, errTwo := ext4.New([16]byte{1}, "x", 1<<20, nodes)
	if errOne != nil || errTwo != nil || !bytes.Equal(one.Head, two.Head) {
		t.Error(errOne, errTwo)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, node := range map[string]ext4.Node{
		"no directory": {Path: "A/a"},
		"long target":  {Path: "a", Target: strings.Repeat("x", 60)},
		"long name":    {Path: strings.Repeat("x", 256)},
		"large":        {Path: "a", Size: ext4.MaxFile + 1},
		"large spare":  {Path: "a", Size: ext4.MaxSpare + 1, Spare: true},
		"huge":         {Path: "a", Size: 1 << 40},
	} {
		if _, err := ext4.New([16]byte{}, "", 1<<20, []ext4.Node{node}); !errors.Is(err, rootfs.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ext4.New([16]byte{}, "", 1<<50, nil); !errors.Is(err, rootfs.ErrUnsupported) {
		t.Errorf("huge file system: %v", err)
	}
	var full *ext4.NoSpaceError
	large := []ext4.Node{{Path: "a", Size: 2 << 20}}
	if _, err := ext4.New([16]byte{}, "", 1<<20, large); !errors.As(err, &full) || full.Need != 2125824 {
		t.Fatalf("too large: %v", err)
	}
	if _, err := ext4.New([16]byte{}, "", full.Need, large); err != nil {
		t.Errorf("as large as it has to be: %v", err)
	}
}
