package ext4_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// holds says whether a block is among the contents of a file system.
func holds(t *testing.T, volume *ext4.FS, block int) bool {
	t.Helper()
	contents, err := volume.Contents()
	if err != nil {
		t.Fatal(err)
	}
	at := int64(block) * int64(volume.BlockSize())
	for _, r := range contents {
		if at >= r.Offset && at < r.Offset+r.Length {
			return true
		}
	}
	return false
}

// TestContents holds the contents of file systems against the data of their files,
// each block of which is looked up.
func TestContents(t *testing.T) {
	tree := rootfstest.Tree(t)
	for name, args := range map[string][]string{
		"extents":   {"-t", "ext4", "-b", "1024"},
		"block map": {"-t", "ext3", "-b", "1024"},
		"4k":        {"-t", "ext4"},
		"clusters":  {"-t", "ext4", "-b", "1024", "-I", "256", "-O", "bigalloc,quota,project,orphan_file", "-C", "16384"},
		"no uninit": {"-t", "ext4", "-O", "^metadata_csum,^uninit_bg,meta_bg,^resize_inode"},
	} {
		image := rootfstest.Make(t, 128, tree, args...)
		rootfstest.Debugfs(t, image, "rm sizes/4096")
		volume := rootfstest.Open(t, image)
		want, files, err := volume.LookUp()
		if err != nil {
			t.Fatal(err)
		}
		contents, err := volume.Contents()
		if err != nil {
			t.Fatal(err)
		}
		got, size := 0, int64(volume.BlockSize())
		for _, r := range contents {
			for b := r.Offset / size; b < (r.Offset+r.Length)/size; b++ {
				if got++; !want[uint64(b)] {
					t.Fatalf("%s: block %d holds no data of a file", name, b)
				}
			}
		}
		if got != len(want) || files < 500 {
			t.Errorf("%s: %d blocks of %d files, want %d", name, got, files, len(want))
		}
	}
}

// TestContentsThatAreMore has a file whose data is said to be in blocks that are
// something else as well. None of them may be left to the source.
func TestContentsThatAreMore(t *testing.T) {
	dir := t.TempDir()
	fragments, long := filepath.Join(dir, "fragments"), filepath.Join(dir, "long")
	sparse := make([]byte, 20*1024)
	for i := 0; i < len(sparse); i += 2048 {
		sparse[i] = 'x'
	}
	if err := errors.Join(os.WriteFile(fragments, sparse, 0o600), os.WriteFile(long, bytes.Repeat([]byte("v"), 700), 0o600)); err != nil {
		t.Fatal(err)
	}
	image := plain(t, []string{"-b", "1024"}, "write contents_test.go file", "write contents_test.go other", "mkdir d", "write "+fragments+" tree", "ea_set -f "+long+" other user.a",
		"symlink slow "+string(bytes.Repeat([]byte("x/"), 100)))
	start := inodeAt(t, image, "/file", 1024) + 0x28 + 12 + 8 // of the first extent
	own := askNumber(t, image, "bmap /file 0")
	if !holds(t, changed(t, image, nil), own) {
		t.Fatal("a file's data is no contents")
	}
	for name, block := range map[string]int{
		"the inode table": ask(t, image, "imap /file", `located at block (\d+)`, 10),
		"a bitmap":        ask(t, image, "stats", `block bitmap at (\d+)`, 10),
		"descriptors":     2,
		"a superblock":    8193,
		"a directory":     askNumber(t, image, "bmap /d 0"),
		"a link":          askNumber(t, image, "bmap /slow 0"),
		"a map":           ask(t, image, "stat /tree", `\(ETB\d\):(\d+)`, 10),
		"attributes":      ask(t, image, "stat /other", `File ACL: (\d+)`, 10),
		"another file":    askNumber(t, image, "bmap /other 0"),
		"room to grow":    ask(t, image, "stat <7>", `\(DIND\):(\d+)`, 10),
	} {
		volume := changed(t, image, bytesAt{start: u32(uint32(block))})
		if holds(t, volume, block) {
			t.Errorf("%s is contents", name)
		}
	}
}

// TestHostileMaps has maps that lead out of the file system or round in a circle.
func TestHostileMaps(t *testing.T) {
	fragments := filepath.Join(t.TempDir(), "fragments")
	sparse := make([]byte, 20*1024)
	for i := 0; i < len(sparse); i += 2048 {
		sparse[i] = 'x'
	}
	if err := os.WriteFile(fragments, sparse, 0o600); err != nil {
		t.Fatal(err)
	}
	image := plain(t, []string{"-b", "1024"}, "write contents_test.go file", "write "+fragments+" tree", "write "+fragments+" second")
	file, tree, second := inodeAt(t, image, "/file", 1024)+0x28+12, inodeAt(t, image, "/tree", 1024)+0x28, inodeAt(t, image, "/second", 1024)+0x28
	leaf := ask(t, image, "stat /tree", `\(ETB\d\):(\d+)`, 10)
	for words, with := range map[string]bytesAt{
		"data at block 16384":         {file + 8: u32(16384)},
		"data at block 16383":         {file + 8: u32(16383), file + 4: u16(2)},
		"data at block 0":             {file + 8: u32(0)},
		"an empty extent":             {file + 4: u16(0)},
		"overlap":                     {file: u32(1<<32 - 1)},
		"as another map has":          {second + 12 + 4: u32(uint32(leaf))},
		"depth 0":                     {tree + 6: u16(2)},
		"block 70000 lies outside":    {tree + 12 + 4: u32(70000)},
		"no magic number":             {leaf * 1024: u16(0)},
		"are out of order":            {leaf*1024 + 24: u32(0)},
		"attributes at block 1000000": {inodeAt(t, image, "/file", 1024) + 0x68: u32(1000000)},
	} {
		_, err := changed(t, image, with).Contents()
		corruptWith(t, err, words)
	}
	// A tree whose root leads to itself, level after level, as far as it goes.
	_, err := changed(t, image, bytesAt{tree + 6: u16(5), leaf * 1024: u16(0xF30A) + u16(2) + u16(80) + u16(4), leaf*1024 + 12: u32(0) + u32(uint32(leaf)) + u32(0), leaf*1024 + 24: u32(1) + u32(uint32(leaf)) + u32(0)}).Contents()
	corruptWith(t, err, "as another map has")

	blocks := plain(t, []string{"-b", "1024", "-O", "^extent,^64bit"}, "write hostile_test.go file")
	area := inodeAt(t, blocks, "/file", 1024) + 0x28
	own := askNumber(t, blocks, "bmap /file 0")
	for words, with := range map[string]bytesAt{
		"data at block 16384":      {area: u32(16384)},
		"data at block 1":          {area: u32(1)},
		"block 16384 lies outside": {area + 4*12: u32(16384)},
		"as another map has":       {area + 4*13: u32(uint32(own)), own * 1024: u32(uint32(own))},
	} {
		_, err := changed(t, blocks, with).Contents()
		corruptWith(t, err, words)
	}
}

// TestContentsAtRestOnly asks a file system that is not at rest.
func TestContentsAtRestOnly(t *testing.T) {
	image := plain(t, []string{"-b", "1024"}, "write contents_test.go file")
	for name, with := range map[string]bytesAt{
		"a journal to replay": {1024 + 0x60: u32(0x2C2 | 4)},
		"a file to delete":    {1024 + 0xE8: u32(12)},
		"a file of orphans":   {1024 + 0x64: u32(0x10000)},
	} {
		if _, err := changed(t, image, with).Contents(); !errors.Is(err, rootfs.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInodesInUse passes over inodes that nobody has written, and does not believe in
// more of them than there are.
func TestInodesInUse(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal,uninit_bg,^64bit")
	rootfstest.Debugfs(t, image, "write contents_test.go file")
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	perGroup := ask(t, image, "stats", `Inodes per group: +(\d+)`, 10)
	table := ask(t, image, "imap <1>", `located at block (\d+)`, 10)
	last := table*1024 + (perGroup-1)*256
	copy(data[last:], bytes.Repeat([]byte("\xff"), 256)) // garbage, in the part that is not in use
	volume, err := ext4.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if contents, err := volume.Contents(); err != nil || len(contents) == 0 {
		t.Errorf("%v, %v", contents, err)
	}
	blocks, err := volume.Blocks("file")
	if err != nil || len(blocks) == 0 || strconv.Itoa(int(blocks[0].Offset/1024)) != strconv.Itoa(askNumber(t, image, "bmap /file 0")) {
		t.Errorf("%v, %v", blocks, err)
	}
}

// FuzzContents wants contents in order, inside the file system, and none where the
// superblock or the descriptors are.
func FuzzContents(f *testing.F) {
	images := fuzzImages(f)
	for shape := range images {
		f.Add(uint8(shape), []byte{})
		f.Add(uint8(shape), []byte{0, 4, 0, 0, 1, 0})
	}
	f.Fuzz(func(t *testing.T, shape uint8, changes []byte) {
		image := mutate(images[int(shape)%len(images)], changes)
		volume, err := ext4.Open(bytes.NewReader(image), int64(len(image)))
		if err != nil {
			return
		}
		contents, err := volume.Contents()
		if err != nil {
			return
		}
		end := int64(2 * max(1024, volume.BlockSize()))
		if volume.BlockSize() == 1024 {
			end = 3 * 1024
		}
		for _, r := range contents {
			if r.Offset < end || r.Length <= 0 {
				t.Fatalf("%+v behind %d", r, end)
			}
			if end = r.Offset + r.Length; end > volume.Size() {
				t.Fatalf("%+v of %d", r, volume.Size())
			}
		}
	})
}
