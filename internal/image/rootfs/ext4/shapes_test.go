package ext4_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// shapes are ways to make a file system that holds rootfstest.Tree.
func shapes() map[string][]string {
	return map[string][]string{
		"ext4 4k":          {"-t", "ext4", "-b", "4096"},
		"ext4 1k":          {"-t", "ext4", "-b", "1024"},
		"ext4 2k":          {"-t", "ext4", "-b", "2048", "-O", "metadata_csum"},
		"ext4 64k":         {"-t", "ext4", "-b", "65536", "-N", "4000"},
		"no 64bit":         {"-t", "ext4", "-b", "1024", "-O", "^64bit"},
		"no metadata_csum": {"-t", "ext4", "-O", "^metadata_csum,uninit_bg"},
		"no checksums":     {"-t", "ext4", "-O", "^metadata_csum,^uninit_bg"},
		"csum seed":        {"-t", "ext4", "-O", "metadata_csum_seed"},
		"ext4 blockmap 1k": {"-t", "ext4", "-b", "1024", "-O", "^extent,^64bit"},
		"ext3 1k":          {"-t", "ext3", "-b", "1024"},
		"ext3 4k":          {"-t", "ext3", "-b", "4096"},
		"ext2 1k":          {"-t", "ext2", "-b", "1024", "-I", "128"},
		"ext2 no filetype": {"-t", "ext2", "-b", "4096", "-O", "^filetype"},
		"revision 0":       {"-t", "ext2", "-b", "1024", "-r", "0", "-I", "128", "-O", "none"},
		"inode 128":        {"-t", "ext4", "-I", "128"},
		"inode 512":        {"-t", "ext4", "-I", "512", "-O", "inline_data"},
		"inline_data":      {"-t", "ext4", "-O", "inline_data"},
		"inline_data 1k":   {"-t", "ext4", "-b", "1024", "-O", "inline_data,^metadata_csum"},
		"meta_bg":          {"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"},
		"meta_bg 32":       {"-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode,^64bit,^flex_bg"},
		"no flex_bg":       {"-t", "ext4", "-b", "1024", "-O", "^flex_bg"},
		"no sparse_super":  {"-t", "ext4", "-b", "1024", "-O", "^sparse_super,^resize_inode"},
		"sparse_super2":    {"-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode"},
		"small groups":     {"-t", "ext4", "-b", "4096", "-g", "2048"},
		"bigalloc":         {"-t", "ext4", "-O", "bigalloc", "-C", "65536"},
		"bigalloc 1k":      {"-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "16384"},
		"large_dir":        {"-t", "ext4", "-O", "large_dir,ea_inode"},
	}
}

func TestShapes(t *testing.T) {
	tree, solid := rootfstest.Tree(t), rootfstest.Tree(t)
	// mke2fs -O inline_data forgets that files end in holes.
	if err := errors.Join(os.Remove(filepath.Join(solid, "hole")), os.WriteFile(filepath.Join(solid, "fragments"), []byte("few"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, args := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := tree
			if strings.Contains(strings.Join(args, " "), "inline_data") {
				tree = solid
			}
			mib := int64(128)
			if strings.HasSuffix(name, "64k") {
				mib = 320
			}
			image := rootfstest.Make(t, mib, tree, args...)
			rootfstest.Debugfs(t, image,
				"mknod null c 1 3", "mknod disk b 259 60000", "mknod fifo p",
				"sif small uid 70001", "sif small gid 80002")
			if !strings.HasPrefix(name, "revision") {
				rootfstest.Run(t, "e2fsck", []string{"-f", "-y", "-D", image}, 1) // indexes the wide directory
			}
			rootfstest.Clean(t, image)
			volume := rootfstest.Open(t, image)
			if volume.UUID() != rootfstest.UUID || volume.Label() != "root of it" || volume.NeedsRecovery() {
				t.Errorf("UUID %s, label %q", volume.UUID(), volume.Label())
			}
			sameTree(t, volume, tree)
			sameStats(t, volume, image)
			sameUsed(t, volume, image)
		})
	}
}

// sameTree compares names, data and targets with the directory that mke2fs
// copied.
func sameTree(t *testing.T, volume *ext4.FS, tree string) {
	t.Helper()
	want := map[string]bool{}
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(tree, path)
		want[name] = true
		if err != nil {
			return err
		}
		return sameFile(volume, tree, name, d)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(volume, ".", func(name string, _ fs.DirEntry, err error) error {
		own := name == "lost+found" || name == "null" || name == "disk" || name == "fifo"
		if err == nil && !want[name] && !own {
			err = fmt.Errorf("%q was never there", name)
		}
		delete(want, name)
		return err
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("%v; missing: %v", err, want)
	}
}

func sameFile(volume *ext4.FS, tree, name string, d fs.DirEntry) error {
	found, err := volume.Lstat(name)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if found.Mode() != info.Mode() || found.ModTime().Unix() != info.ModTime().Unix() && name != "." && name != "wide" && name != "odd" {
		return fmt.Errorf("%q: %s %s, want %s %s", name, found.Mode(), found.ModTime(), info.Mode(), info.ModTime())
	}
	switch {
	case d.Type() == fs.ModeSymlink:
		want, _ := os.Readlink(filepath.Join(tree, name))
		if target, err := volume.ReadLink(name); err != nil || target != want {
			return fmt.Errorf("%q leads to %q, want %q (%w)", name, target, want, err)
		}
	case d.Type().IsRegular():
		return sameData(volume, tree, name)
	}
	return nil
}

func sameData(volume *ext4.FS, tree, name string) error {
	a, err := volume.Open(name)
	if err != nil {
		return err
	}
	b, err := os.Open(filepath.Join(tree, name))
	if err != nil {
		return err
	}
	defer b.Close()
	left, right := make([]byte, 100_000), make([]byte, 100_000)
	for {
		n, err := io.ReadFull(a, left)
		m, _ := io.ReadFull(b, right)
		if !bytes.Equal(left[:n], right[:m]) {
			return fmt.Errorf("%q has other data", name)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sameStats compares every inode with what debugfs says of it.
func sameStats(t *testing.T, volume *ext4.FS, image string) {
	t.Helper()
	var names, commands []string
	err := fs.WalkDir(volume, ".", func(name string, _ fs.DirEntry, err error) error {
		if !strings.ContainsAny(name, "\n\r") {
			names = append(names, name)
			commands = append(commands, `stat "/`+strings.ReplaceAll(name, `"`, `""`)+`"`)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	device := regexp.MustCompile(`Device major/minor number: (\d+):(\d+)`)
	sections := strings.Split(rootfstest.Debugfs(t, image, commands...), "\ndebugfs: ")
	if len(sections) != len(names) {
		t.Fatalf("%d answers about %d files", len(sections), len(names))
	}
	for i, name := range names {
		found, err := volume.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		stat := found.Sys().(*rootfs.Stat)
		if got, want := describe(stat), describedBy(t, sections[i], device); got != want {
			t.Errorf("%q: %s, debugfs says %s", name, got, want)
		}
	}
}

func describe(s *rootfs.Stat) string {
	device := ""
	if s.Major != 0 || s.Minor != 0 {
		device = fmt.Sprintf(" device %d:%d", s.Major, s.Minor)
	}
	return fmt.Sprintf("inode %d mode 0%03o owner %d:%d size %d links %d blocks %d times %d.%09d %d.%09d %d.%09d%s",
		s.Inode, s.Mode&0o7777, s.UID, s.GID, s.Size, s.Links, s.Blocks,
		s.Ctime.Unix(), s.Ctime.Nanosecond(), s.Atime.Unix(), s.Atime.Nanosecond(), s.Mtime.Unix(), s.Mtime.Nanosecond(), device)
}

// describedBy makes the same of debugfs's words.
func describedBy(t *testing.T, words string, numbers *regexp.Regexp) string {
	t.Helper()
	field := func(name string) string {
		_, rest, _ := strings.Cut(words, name+":")
		values := strings.Fields(rest)
		if len(values) == 0 {
			return "0"
		}
		return values[0]
	}
	times := ""
	for _, name := range []string{"ctime", "atime", "mtime"} {
		hexadecimal, extra, _ := strings.Cut(field(name), ":")
		seconds, err := strconv.ParseUint(strings.TrimPrefix(hexadecimal, "0x"), 16, 32)
		if err != nil {
			t.Fatalf("%v in %s", err, words)
		}
		more, _ := strconv.ParseUint(extra, 16, 32)
		times += fmt.Sprintf(" %d.%09d", int64(int32(seconds))+int64(more&3)<<32, more>>2)
	}
	device := ""
	if found := numbers.FindStringSubmatch(words); found != nil {
		major, _ := strconv.Atoi(found[1])
		minor, _ := strconv.Atoi(found[2])
		device = fmt.Sprintf(" device %d:%d", major, minor)
	}
	return fmt.Sprintf("inode %s mode %s owner %s:%s size %s links %s blocks %s times%s%s", field("Inode"), field("Mode"),
		field("User"), field("Group"), field("Size"), field("Links"), field("Blockcount"), times, device)
}
