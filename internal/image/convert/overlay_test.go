package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

func TestOverlay(t *testing.T) {
	source, working := bytes.Repeat([]byte("s"), 400<<10), bytes.Repeat([]byte("w"), 300<<10)
	lent := []rootfs.Range{{Offset: 1 << 10, Length: 1 << 10}, {Offset: 4 << 10, Length: 2 << 10}, {Offset: 100 << 10, Length: 100 << 10}, {Offset: 290 << 10, Length: 60 << 10}}
	want := bytes.Clone(working)
	want = append(want, make([]byte, 100<<10)...)
	for _, r := range lent {
		copy(want[r.Offset:], source[r.Offset:][:r.Length])
	}
	o := &overlay{working: bytes.NewReader(working), source: bytes.NewReader(source), lent: lent}
	for _, off := range []int{0, 1, 1 << 10, 3 << 10, 5 << 10, 150 << 10, 200 << 10, 299 << 10, 350 << 10} {
		for _, n := range []int{1, 1 << 10, 5 << 10, 90 << 10, 399 << 10} {
			got := bytes.Repeat([]byte("x"), min(n, len(want)-off))
			if n, err := o.ReadAt(got, int64(off)); n != len(got) || err != nil || !bytes.Equal(got, want[off:off+len(got)]) {
				t.Errorf("%d bytes at %d: %d, %v", len(got), off, n, err)
			}
		}
	}
	// What is lent has to be there; zeros are no answer.
	o.source = bytes.NewReader(source[:310<<10])
	if _, err := o.ReadAt(make([]byte, 8<<10), 305<<10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short source: %v", err)
	}
}

func TestRanges(t *testing.T) {
	list := func(pairs ...int64) (out []rootfs.Range) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, rootfs.Range{Offset: pairs[i], Length: pairs[i+1] - pairs[i]})
		}
		return out
	}
	for _, tt := range []struct{ a, b, want []rootfs.Range }{
		{list(0, 10), nil, list(0, 10)},
		{list(0, 10), list(0, 10), nil},
		{list(0, 10), list(2, 4, 6, 8), list(0, 2, 4, 6, 8, 10)},
		{list(2, 4, 6, 8), list(0, 10), nil},
		{list(2, 6, 8, 12, 20, 30), list(0, 3, 5, 9, 11, 25), list(3, 5, 9, 11, 25, 30)},
		{list(2, 6), list(6, 9), list(2, 6)},
	} {
		if got := without(tt.a, tt.b); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%v without %v: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
	if got := inOrder(list(8, 9, 0, 4, 2, 3, 4, 6)); fmt.Sprint(got) != fmt.Sprint(list(0, 6, 8, 9)) {
		t.Errorf("in order: %v", got)
	}
}

// lending makes a working copy of the file system in an image.
func lending(t *testing.T, image string) *workingCopy {
	t.Helper()
	probed, err := qemu.Probe(tinyDisk(t, image))
	if err != nil {
		t.Fatal(err)
	}
	disk, err := qemu.Open(t.Context(), probed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { disk.Close() }) //nolint:errcheck // it was only read
	table, _, err := partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{image: probed, disk: disk, table: table, list: volumes(disk, table)}
	w, err := copyOut(t.Context(), s, &s.list[0], filepath.Join(t.TempDir(), "root"), silent{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close() }) //nolint:errcheck // it goes with the test
	return w
}

// TestReusedBlocks has changes that put new files where old ones were: the blocks are
// still those of files, and must not come from the source any more.
func TestReusedBlocks(t *testing.T) {
	for name, args := range map[string][]string{
		"extents": {"-t", "ext4", "-b", "1024", "-O", "^has_journal"}, "block map": {"-t", "ext2", "-b", "1024"},
		"bigalloc": {"-t", "ext4", "-b", "1024", "-O", "bigalloc,^has_journal", "-C", "16384"},
	} {
		tree := t.TempDir()
		old := strings.Repeat("old data", 1<<17)
		put(t, tree, "dir/old", old)
		put(t, tree, "dir/kept", strings.Repeat("kept", 1<<18))
		if err := os.Link(filepath.Join(tree, "dir/kept"), filepath.Join(tree, "linked")); err != nil {
			t.Fatal(err)
		}
		put(t, tree, "replaced", strings.Repeat("replaced", 1<<16))
		w := lending(t, rootfstest.Make(t, 5, tree, args...))
		if len(w.lent) == 0 {
			t.Fatal("nothing is lent")
		}
		before, err := w.fs.(*ext4.FS).Blocks("dir/old")
		if err != nil {
			t.Fatal(err)
		}
		// Zeros may be holes in the working file, and are data all the same.
		fresh := []byte(strings.Repeat("new data", 1<<16) + strings.Repeat("\x00", 3000) + strings.Repeat("newer", 1<<17))
		if err := w.change(context.Background(), []rootfs.Change{
			{Kind: rootfs.Remove, Path: "dir/old"},
			{Kind: rootfs.WriteFile, Path: "replaced", Content: []byte("short")},
			{Kind: rootfs.WriteFile, Path: "fresh", Content: fresh},
			{Kind: rootfs.HardLink, Path: "second", Target: "linked"},
			{Kind: rootfs.Remove, Path: "linked"},
		}); err != nil {
			t.Fatal(err)
		}
		now, err := w.fs.(*ext4.FS).Blocks("fresh")
		if err != nil {
			t.Fatal(err)
		}
		if left := without(inOrder(before), inOrder(now)); total(left) == total(before) {
			t.Fatalf("%s: no block was used again", name)
		}
		for file, want := range map[string]string{"fresh": string(fresh), "replaced": "short", "dir/kept": strings.Repeat("kept", 1<<18), "second": strings.Repeat("kept", 1<<18)} {
			if got, err := fs.ReadFile(w.fs, file); err != nil || string(got) != want {
				t.Errorf("%s: %s has %d bytes, %.20q, want %d (%v)", name, file, len(got), got, len(want), err)
			}
		}
	}
}

// TestWhatIsLentStaysLent has a file system in which what is lent is not the data of
// files any more: nobody knows what is there.
func TestWhatIsLentStaysLent(t *testing.T) {
	tree := t.TempDir()
	put(t, tree, "file", strings.Repeat("data", 5000))
	w := lending(t, rootfstest.Make(t, 4, tree, "-t", "ext4", "-b", "1024"))
	rootfstest.Debugfs(t, w.file.Name(), "rm file")
	err := w.change(context.Background(), []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a", Content: []byte("a")}})
	if !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "do not belong to a file any more") {
		t.Errorf("got %v", err)
	}
}

// TestChangedSource writes to the source while it is converted.
func TestChangedSource(t *testing.T) {
	o, _ := tinyOptions(t, tinyImage(t, tinyTree(t)))
	o.Events = &meddler{path: o.Input}
	if _, err := Convert(context.Background(), o); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "was changed while it was read") {
		t.Errorf("got %v", err)
	}
	if left := outputs(t, o); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// meddler changes a file as soon as a conversion encrypts.
type meddler struct {
	silent
	path string
}

func (m *meddler) Step(what string) {
	if !strings.HasPrefix(what, "Encrypt") {
		return
	}
	f, err := os.OpenFile(m.path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 3<<20)
	}
	if err != nil || f.Close() != nil {
		panic(err)
	}
}

// TestHostileMapsLoseNoEdit has a file whose data is said to be in the file system's own
// blocks, with the feature that has e2fsck put up with it. The edits, which are made
// there, have to be on the new disk, and nothing of what is behind the file system.
func TestHostileMapsLoseNoEdit(t *testing.T) {
	tree := tinyTree(t)
	put(t, tree, "evil", strings.Repeat("x", 300<<10))
	image := rootfstest.Make(t, 16, tree, "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal,^64bit")
	numbers := func(command, after string) string {
		_, rest, _ := strings.Cut(rootfstest.Run(t, "debugfs", []string{"-R", command, image}), after)
		return strings.Trim(strings.Fields(rest)[0], "(),")
	}
	for name, block := range map[string]string{
		"a directory":     numbers("bmap /etc 0", ""),
		"the inode table": numbers("imap /etc/fstab", "located at block "),
		"another file":    numbers("bmap /etc/fstab 0", ""),
	} {
		hostile := filepath.Join(t.TempDir(), "hostile")
		if err := copyFile(image, hostile); err != nil {
			t.Fatal(err)
		}
		rootfstest.Debugfs(t, hostile, "feature shared_blocks", "sif /evil block[5] "+block)
		o, ingestion := tinyOptions(t, tinyDisk(t, hostile))
		o.Format = Raw
		c, err := Convert(context.Background(), o)
		if err != nil {
			t.Logf("%s: refused: %v", name, err)
			if left := outputs(t, o); len(left) > 0 {
				t.Errorf("%s: left %q", name, left)
			}
			continue
		}
		part, vmk := rootOf(t, o, c, ingestion)
		if fstab := decryptedFile(t, part, vmk, "etc/fstab"); !strings.Contains(fstab, "/dev/mapper/cryptroot") {
			t.Errorf("%s: the edit is lost: %q", name, fstab)
		}
		if secret := decryptedFile(t, part, vmk, "etc/secret"); secret != "this must not be seen" {
			t.Errorf("%s: found %q", name, secret)
		}
	}
}
