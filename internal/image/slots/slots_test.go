package slots

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// TestStory goes through the life of a partition; e2fsck has nothing to say after any
// step, and debugfs reads what is active through the links.
func TestStory(t *testing.T) {
	m := made(t, 16)
	p := opened(t, m)
	step := func(want string, err error) {
		t.Helper()
		must(t, err)
		if got := both(t, m); got != want {
			t.Fatalf("%s\nwant %s", got, want)
		}
		clean(t, m)
	}
	step("A -, B -, {Active:A Trial:false Launches:0}", nil)
	step("A one, B -, {Active:A Trial:false Launches:0}", p.Write(A, tree("one")))
	step("A one, B second, {Active:A Trial:false Launches:0}", p.Write(B, tree("second")))
	step("A one, B second, {Active:B Trial:true Launches:0}", p.Switch(B, true))
	step("A one, B second, {Active:B Trial:true Launches:1}", p.Launched())
	step("A one, B second, {Active:B Trial:true Launches:2}", p.Launched())
	step("A one, B second, {Active:B Trial:false Launches:0}", p.Confirm())
	step("A one, B second, {Active:B Trial:false Launches:0}", p.Launched())
	step("A 3, B second, {Active:B Trial:false Launches:0}", p.Write(A, tree("3")))
	step("A 3, B second, {Active:A Trial:false Launches:0}", p.Switch(A, false))
	step("A 3, B -, {Active:A Trial:false Launches:0}", p.Clear(B))
	image := clean(t, m)
	for command, want := range map[string]string{
		"stat /artifacts": `Fast link dest: "A"`, "stat /trial": `Fast link dest: "none"`, "cat /artifacts/who": "3", "cat /A/who": "3", "ls -p /B": "/2/",
	} {
		if out := rootfstest.Debugfs(t, image, command); !strings.Contains(out, want) {
			t.Errorf("%s: %q", command, out)
		}
	}
}

// TestReadFile reads what is there, bounded.
func TestReadFile(t *testing.T) {
	p := opened(t, made(t, 16))
	must(t, p.Write(A, tree("one")))
	if who, err := p.ReadFile(A, "who", 3); string(who) != "one" || err != nil {
		t.Errorf("%q, %v", who, err)
	}
	for name, tc := range map[string]struct {
		slot, name string
		limit      int64
		want       error
	}{"longer": {A, "who", 2, ErrSlot}, "missing": {A, "none", 9, fs.ErrNotExist}, "a directory": {A, "variants", 9, fs.ErrNotExist}, "empty slot": {B, "who", 9, fs.ErrNotExist}, "no slot": {"..", "who", 9, ErrSlot}} {
		if got, err := p.ReadFile(tc.slot, tc.name, tc.limit); !errors.Is(err, tc.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestSizes: from the smallest partition to the largest, and slots that are full to the
// last block.
func TestSizes(t *testing.T) {
	for _, size := range []int64{MinSize, MinSize + 4096, 128 << 20, 128<<20 + 3*4096, DefaultSize, 2<<30 + 1<<20, MaxSize} {
		f, err := os.Create(filepath.Join(t.TempDir(), "fs"))
		must(t, err)
		defer f.Close()
		head, err := Make([16]byte{9}, size)
		must(t, err)
		_, err = f.Write(head)
		must(t, errors.Join(err, f.Truncate(size)))
		rootfstest.Clean(t, f.Name())
		p, err := Open(f, size)
		must(t, err)
		room := (size - int64(len(head))) / 2 / 4096 * 4096
		if _, err = p.Begin(t.Context(), B, map[string]int64{"a": room + 1}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d: more than has room: %v", size, err)
		}
		// What the files hold does not matter here.
		u, err := p.Begin(t.Context(), B, map[string]int64{"a": 1, "z": min(room-4096, ext4.MaxFile)})
		must(t, err)
		must(t, p.describe(B, u.layout))
		rootfstest.Clean(t, f.Name())
	}
	for _, size := range []int64{-1, 0, 4096, MinSize - 4096, MinSize + 512, MaxSize + 4096} {
		if _, err := Make([16]byte{}, size); !errors.Is(err, ErrLayout) {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// TestRefused: what does not fit is refused before anything is written.
func TestRefused(t *testing.T) {
	many := fstest.MapFS{}
	for i := range maxFiles + 1 {
		many[fmt.Sprint(i)] = &fstest.MapFile{}
	}
	long := fstest.MapFS{}
	for i := range 300 {
		long["sub/"+strings.Repeat("x", 240)+fmt.Sprint(i)] = &fstest.MapFile{}
	}
	m := made(t, 16)
	p := opened(t, m)
	must(t, p.Write(A, tree("one")))
	m.ops = nil
	for name, tc := range map[string]struct {
		slot  string
		files fs.FS
		want  error
	}{
		"active":          {A, tree("two"), ErrInUse},
		"no slot":         {"C", tree("two"), ErrSlot},
		"many files":      {B, many, ErrTooLarge},
		"long names":      {B, long, ErrTooLarge},
		"two directories": {B, fstest.MapFS{"a/b": {}, "c/d": {}}, ErrTooLarge},
		"two levels":      {B, fstest.MapFS{"a/b/c": {}}, ErrTooLarge},
		"large":           {B, fstest.MapFS{"a": {Data: make([]byte, 9<<20)}}, ErrTooLarge},
	} {
		if err := p.Write(tc.slot, tc.files); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, files := range []map[string]int64{{"a": -1}, {"a": 1 << 62}, {"a": 1 << 62, "b": 1 << 62}, {"../A/who": 1}, {"": 1}, {"/a": 1}, {"a\x00": 1}, {"a": 1, "a/b": 1}} {
		if _, err := p.Begin(t.Context(), B, files); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: %v", files, err)
		}
	}
	if err := p.Switch(B, false); !errors.Is(err, ErrSlot) {
		t.Errorf("switch to an empty slot: %v", err)
	}
	if len(m.ops) != 0 {
		t.Errorf("%d operations", len(m.ops))
	}
	must(t, p.Write(B, tree("two")))
	must(t, p.Switch(B, true))
	if err := p.Write(A, tree("three")); !errors.Is(err, ErrInUse) {
		t.Errorf("what a trial returns to: %v", err)
	}
	u, err := opened(t, m).Begin(t.Context(), A, map[string]int64{})
	if err == nil {
		t.Errorf("what a trial returns to: %v", u)
	}
}

// TestFileOfAnotherSize leaves the slot empty.
func TestFileOfAnotherSize(t *testing.T) {
	m := made(t, 16)
	p := opened(t, m)
	for _, data := range []string{"", "123", "12345"} {
		u, err := p.Begin(t.Context(), B, map[string]int64{"a": 4})
		must(t, err)
		w, err := u.Create("a", 4)
		must(t, err)
		_, err = w.Write([]byte(data))
		if err := u.Abort(errors.Join(err, w.Close())); !errors.Is(err, ErrChanged) {
			t.Errorf("%q: %v", data, err)
		}
		if _, err := u.Create("b", 4); !errors.Is(err, ErrChanged) {
			t.Errorf("a name that was not announced: %v", err)
		}
	}
	if got := both(t, m); got != "A -, B -, {Active:A Trial:false Launches:0}" {
		t.Error(got)
	}
	clean(t, m)
}
