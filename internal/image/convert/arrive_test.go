package convert

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
)

// oddImage is a way to make a root in which something may get lost.
type oddImage struct {
	args     []string
	mib      int64 // 64 if 0
	commands []string
	prepare  func(t *testing.T, image string)
	solid    bool // without files that end in holes, which mke2fs forgets with inline_data
	whole    bool // nothing is lent
	fill     bool // free space is encrypted
	compress bool // the source is a compressed qcow2
}

func oddImages() map[string]oddImage {
	return map[string]oddImage{
		"4k":               {args: []string{"-t", "ext4", "-b", "4096"}},
		"compressed":       {args: []string{"-t", "ext4", "-b", "4096"}, compress: true},
		"1k":               {args: []string{"-t", "ext4", "-b", "1024"}},
		"64k":              {args: []string{"-t", "ext4", "-b", "65536", "-N", "4000"}, mib: 320},
		"free space":       {args: []string{"-t", "ext4", "-b", "1024"}, fill: true},
		"no checksums":     {args: []string{"-t", "ext4", "-O", "^metadata_csum,^uninit_bg"}},
		"block map 1k":     {args: []string{"-t", "ext4", "-b", "1024", "-O", "^extent,^64bit"}},
		"ext3":             {args: []string{"-t", "ext3", "-b", "4096"}},
		"ext2":             {args: []string{"-t", "ext2", "-b", "1024", "-I", "128"}},
		"inline data":      {args: []string{"-t", "ext4", "-O", "inline_data"}, solid: true},
		"inline data 1k":   {args: []string{"-t", "ext4", "-b", "1024", "-I", "512", "-O", "inline_data"}, solid: true},
		"meta_bg":          {args: []string{"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"}},
		"small groups":     {args: []string{"-t", "ext4", "-g", "2048"}},
		"bigalloc":         {args: []string{"-t", "ext4", "-O", "bigalloc", "-C", "65536"}},
		"bigalloc 1k":      {args: []string{"-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "16384"}},
		"large attributes": {args: []string{"-t", "ext4", "-O", "ea_inode"}, prepare: largeAttributes},
		"quota files":      {args: []string{"-t", "ext4", "-I", "256", "-O", "quota,project"}},
		"orphan file":      {args: []string{"-t", "ext4", "-O", "orphan_file"}},
		"orphans":          {args: []string{"-t", "ext4"}, prepare: orphan, whole: true},
		"needs recovery":   {args: []string{"-t", "ext4", "-b", "1024"}, prepare: unreplayed, whole: true},
		"holes and extents that were never written": {args: []string{"-t", "ext4"}, commands: []string{
			"write /dev/null reserved", "fallocate reserved 0 300", "sif reserved size 2000000", "write /dev/null far", "fallocate far 4000000 4000001", "sif far size 16384004096",
		}},
	}
}

// largeAttributes gives a file an attribute in an inode of its own.
func largeAttributes(t *testing.T, image string) {
	value := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(value, bytes.Repeat([]byte("attribute "), 6500), 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, image, "ea_set -f "+value+" small user.large")
	rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1) // debugfs does not count its blocks
}

// orphan has a file that was being made shorter: e2fsck reads the end of its data.
func orphan(t *testing.T, image string) {
	found := rootfstest.Run(t, "debugfs", []string{"-R", "stat /sizes/65536", image})
	_, rest, _ := strings.Cut(found, "Inode: ")
	inode := strings.Fields(rest)[0]
	rootfstest.Debugfs(t, image, "sif /sizes/65536 size 61000", "ssv last_orphan "+inode)
}

// unreplayed has new data of a file, and a new time in an inode, in the journal.
func unreplayed(t *testing.T, image string) {
	block := func(command, after string) int64 {
		_, rest, _ := strings.Cut(rootfstest.Run(t, "debugfs", []string{"-R", command, image}), after)
		number, err := strconv.ParseInt(strings.Trim(strings.Fields(rest)[0], ","), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	data, table := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(data, bytes.Repeat([]byte("replayed"), 128), 0o600); err != nil {
		t.Fatal(err)
	}
	later := filepath.Join(t.TempDir(), "later")
	if err := copyFile(image, later); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, later, "sif /sizes/1024 mtime 20010203040506")
	inode := block("imap /sizes/1024", "located at block ")
	raw, err := os.ReadFile(later)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, raw[inode*1024:][:1024], 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, image, "journal_open", fmt.Sprintf("journal_write -b %d %s", block("bmap /sizes/65536 3", ""), data),
		fmt.Sprintf("journal_write -b %d %s", inode, table), "journal_close")
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// TestEverythingArrives converts odd images and holds each file, attribute and device
// of the decrypted root against the source's.
func TestEverythingArrives(t *testing.T) {
	tree, solid := oddTree(t), oddTree(t)
	for _, name := range []string{"hole", "fragments"} {
		if err := os.Remove(filepath.Join(solid, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, odd := range oddImages() {
		t.Run(name, func(t *testing.T) {
			if odd.solid {
				arrives(t, odd, solid)
			} else {
				arrives(t, odd, tree)
			}
		})
	}
}

// oddTree is a root that can be converted, with all kinds of files.
func oddTree(t *testing.T) string {
	t.Helper()
	tree := rootfstest.Tree(t)
	if err := os.CopyFS(tree, os.DirFS(tinyTree(t))); err != nil {
		t.Fatal(err)
	}
	return tree
}

func arrives(t *testing.T, odd oddImage, tree string) {
	image := rootfstest.Make(t, cmp.Or(odd.mib, 64), tree, odd.args...)
	rootfstest.Debugfs(t, image, append([]string{"mknod null c 1 3", "mknod disk b 259 60000", "mknod fifo p", "sif small uid 70001",
		"ea_set small user.a value", "ea_set sizes/4096 user.b " + strings.Repeat("v", 90)}, odd.commands...)...)
	rootfstest.Run(t, "e2fsck", []string{"-f", "-y", image}, 1)
	if odd.prepare != nil {
		odd.prepare(t, image)
	}
	lent, err := lendable(rootfstest.Open(t, image))
	if err != nil || odd.whole != (len(lent) == 0) {
		t.Errorf("%d bytes are lent, %v", total(lent), err)
	}
	disk := tinyDisk(t, image)
	if odd.compress {
		disk = compressed(t, disk)
	}
	o, ingestion := tinyOptions(t, disk)
	o.Format, o.EncryptFreeSpace = Raw, odd.fill
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	// What e2fsck makes of the source as a whole is what has to arrive.
	if err := errors.Join(e2fsprogs.Recover(t.Context(), image, 0), e2fsprogs.Settle(t.Context(), image, 0)); err != nil {
		t.Fatal(err)
	}
	part, vmk := rootOf(t, o, c, ingestion)
	payload := decrypted(t, part, vmk)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Clean(t, plain)
	source, arrived := rootfstest.Open(t, image), rootfstest.Open(t, plain)
	sameFiles(t, source, arrived, c.Edits)
	sameAllocation(t, arrived, part[luks2.PayloadOffset:], odd.fill)
}

// rootOf returns the root's partition of a raw disk that was made, and the key of it.
func rootOf(t *testing.T, o *Options, c *staging.Conversion, ingestion *seal.PrivateKey) (part, vmk []byte) {
	t.Helper()
	disk, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	part = disk[c.Disk.Partitions[0].Offset:][:c.Disk.Partitions[0].Size]
	return part, openedKeys(t, o, c, ingestion, part)
}

// compressed makes a qcow2 of a disk whose clusters are compressed.
func compressed(t *testing.T, disk string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "disk.qcow2")
	if words, err := exec.Command("qemu-img", "convert", "-f", "raw", "-c", "-O", "qcow2", disk, out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, words)
	}
	return out
}

// sameFiles holds all that is in a file system against another one, but for what was
// changed.
func sameFiles(t *testing.T, source, arrived *ext4.FS, edits []string) {
	t.Helper()
	edited, above := map[string]bool{}, map[string]bool{}
	for _, edit := range edits {
		name := strings.TrimPrefix(edit, "/")
		edited[name] = true
		for ; name != "."; name = path.Dir(name) {
			above[path.Dir(name)] = true
		}
	}
	files := 0
	if err := fs.WalkDir(source, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || edited[name] {
			return err
		}
		files++
		return sameEntry(source, arrived, name, above[name])
	}); err != nil {
		t.Fatal(err)
	}
	if err := fs.WalkDir(arrived, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || edited[name] || above[name] {
			return err
		}
		_, err = source.Lstat(name)
		return err
	}); err != nil || files < 600 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func sameEntry(source, arrived *ext4.FS, name string, changed bool) error {
	want, err := source.Lstat(name)
	if err != nil {
		return err
	}
	got, err := arrived.Lstat(name)
	if err != nil {
		return err
	}
	a, b := *want.Sys().(*rootfs.Stat), *got.Sys().(*rootfs.Stat)
	if changed { // a directory in which something was changed
		a.Mtime, a.Ctime, a.Atime, a.Links, a.Size, a.Blocks = b.Mtime, b.Ctime, b.Atime, b.Links, b.Size, b.Blocks
	}
	if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
		return fmt.Errorf("%q is %+v, want %+v", name, b, a)
	}
	wanted, err := source.Xattrs(name)
	if err != nil {
		return err
	}
	if found, err := arrived.Xattrs(name); err != nil || !maps.EqualFunc(wanted, found, bytes.Equal) {
		return fmt.Errorf("attributes of %q: %.100q, want %.100q (%w)", name, found, wanted, err)
	}
	switch want.Mode().Type() {
	case fs.ModeSymlink:
		a, err := source.ReadLink(name)
		if err != nil {
			return err
		}
		if b, err := arrived.ReadLink(name); err != nil || a != b {
			return fmt.Errorf("%q leads to %q, want %q (%w)", name, b, a, err)
		}
	case 0:
		return sameContent(source, arrived, name, min(want.Size(), 200<<20))
	}
	return nil
}

func sameContent(source, arrived *ext4.FS, name string, size int64) error {
	a, err := source.Open(name)
	if err != nil {
		return err
	}
	b, err := arrived.Open(name)
	if err != nil {
		return err
	}
	piece := min(max(size, 1), 1<<20)
	left, right := make([]byte, piece), make([]byte, piece)
	for ; size > 0; size -= int64(len(left)) {
		n, err := io.ReadFull(a, left)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		m, err := io.ReadFull(b, right)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if !bytes.Equal(left[:n], right[:m]) {
			return fmt.Errorf("%q has other data", name)
		}
	}
	return nil
}

// sameAllocation holds the granules that were written against those that the file
// system uses.
func sameAllocation(t *testing.T, volume *ext4.FS, payload []byte, all bool) {
	t.Helper()
	var ranges []rootfs.Range
	for r, err := range volume.Used() {
		if err != nil {
			t.Fatal(err)
		}
		ranges = append(ranges, r)
	}
	used := make([]bool, len(payload)/granule)
	for _, r := range granules(ranges, int64(len(payload))) {
		for i := r.Offset / granule; i < (r.Offset+r.Length)/granule; i++ {
			used[i] = true
		}
	}
	for i := range used {
		if written := !allZero(payload[i*granule:][:granule]); written != (used[i] || all) {
			t.Fatalf("granule %d: used %t, written %t", i, used[i], written)
		}
	}
}

// TestWhatIsRemovedIsNotOnTheDisk has a conversion remove a file that was encrypted
// already when it did.
func TestWhatIsRemovedIsNotOnTheDisk(t *testing.T) {
	tree := oddTree(t)
	put(t, tree, "var/lib/cloud/instance/secret", strings.Repeat("removed ", 1<<17))
	put(t, tree, "etc/cloud/cloud.cfg", "")
	image := rootfstest.Make(t, 128, tree, "-t", "ext4", "-b", "4096")
	blocks, err := rootfstest.Open(t, image).Blocks("var/lib/cloud/instance/secret")
	if err != nil || total(blocks) != 1<<20 {
		t.Fatalf("%v, %v", blocks, err)
	}
	o, ingestion := tinyOptions(t, tinyDisk(t, image))
	o.Format = Raw
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	part, vmk := rootOf(t, o, c, ingestion)
	payload := decrypted(t, part, vmk)
	if bytes.Contains(payload, []byte("removed removed ")) {
		t.Error("the file that was removed is still there")
	}
	plain, err := ext4.Open(bytes.NewReader(payload), int64(len(payload)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Lstat("var/lib/cloud/instance"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the conversion removed nothing: %q, %v", c.Edits, err)
	}
	sameAllocation(t, plain, part[luks2.PayloadOffset:], false)
}
