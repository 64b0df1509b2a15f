package debugfs_test

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
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/debugfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/rootfs/rootfstest"
)

func open(t testing.TB, image string) *ext4.FS {
	t.Helper()
	file, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	found, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	volume, err := ext4.Open(file, found.Size())
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

func stat(t testing.TB, volume *ext4.FS, name string) *rootfs.Stat {
	t.Helper()
	found, err := volume.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return found.Sys().(*rootfs.Stat)
}

func read(t testing.TB, volume *ext4.FS, name string) string {
	t.Helper()
	data, err := fs.ReadFile(volume, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// smallTree is a directory with a few files of an image.
func smallTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"etc/fstab": "old", "etc/hosts": "hosts", "usr/lib/os-release": "ID=debian", "boot/vmlinuz": "kernel", "boot/grub/grub.cfg": "menu",
		"boot/grub/fonts/a": "a", "home/a": "x",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Symlink("usr/lib", filepath.Join(dir, "lib")), os.Symlink("/etc/hosts", filepath.Join(dir, "etc/link")),
		os.Symlink("../../../..", filepath.Join(dir, "etc/up")), os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Link(filepath.Join(dir, "home/a"), filepath.Join(dir, "home/b")))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func shapes() map[string][]string {
	return map[string][]string{
		"ext4":             {"-t", "ext4"},
		"ext4 4k":          {"-t", "ext4", "-b", "4096", "-O", "ea_inode"},
		"no metadata_csum": {"-t", "ext4", "-O", "^metadata_csum,uninit_bg,^64bit"},
		"inline_data":      {"-t", "ext4", "-O", "inline_data"},
		"ext3":             {"-t", "ext3", "-I", "256"},
		"ext2":             {"-t", "ext2", "-I", "128"},
		"bigalloc":         {"-t", "ext4", "-O", "bigalloc"},
	}
}

func TestApply(t *testing.T) {
	tree := smallTree(t)
	source := filepath.Join(t.TempDir(), "what?offset=5 \n is this")
	sparse, err := os.Create(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{0, 700 << 10, 4 << 20} {
		if _, err := sparse.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sparse.Truncate(5<<20), sparse.Close()); err != nil {
		t.Fatal(err)
	}
	for name, args := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := rootfstest.Make(t, 48, tree, args...)
			fine := open(t, image).FineTimes()
			modified := time.Unix(1_600_000_000, 0)
			if fine {
				modified = time.Date(2150, 1, 2, 3, 4, 5, 123456789, time.UTC)
			}
			label := []byte("system_u:object_r:etc_t:s0\x00")
			stream := func() (io.ReadCloser, error) { return os.Open(source) }
			changes := []rootfs.Change{
				{Kind: rootfs.WriteFile, Path: "/etc/fstab", Mode: 0o644, UID: 70001, GID: 80002, ModTime: modified, Content: []byte("new\n"),
					Xattrs: map[string][]byte{"security.selinux": label, "user.empty": {}, "user.big": bytes.Repeat([]byte("v"), 600)}},
				{Kind: rootfs.WriteFile, Path: "etc/link", Mode: 0o4711, Content: []byte("a file now")},
				{Kind: rootfs.WriteFile, Path: "lib/modules/6.1/kernel/a.ko", Mode: 0o644, Source: source, ModTime: modified},
				{Kind: rootfs.WriteFile, Path: "etc/up/streamed", Mode: 0o600, Open: stream},
				{Kind: rootfs.WriteFile, Path: "empty", Mode: 0},
				{Kind: rootfs.MakeDir, Path: "usr/lib/snpguard", Mode: 0o2750, UID: 5, GID: 6, ModTime: modified},
				{Kind: rootfs.MakeDir, Path: "home", Mode: 0o700},
				{Kind: rootfs.MakeDir, Path: "lib", Mode: 0o700},
				{Kind: rootfs.WriteFile, Path: "lib/snpguard/agent", Mode: 0o755, Content: []byte("agent")},
				{Kind: rootfs.Symlink, Path: "usr/bin/agent", Target: "../lib/snpguard/agent", UID: 7, GID: 8, ModTime: modified},
				{Kind: rootfs.Symlink, Path: "etc/long", Target: strings.Repeat("0123456789/", 50)},
				{Kind: rootfs.HardLink, Path: "home/c", Target: "home/a"},
				{Kind: rootfs.HardLink, Path: "home/agent", Target: "/usr/lib/snpguard/agent"},
				{Kind: rootfs.Remove, Path: "home/b"},
				{Kind: rootfs.MakeNode, Path: "dev/null", Mode: rootfs.ModeChar | 0o666, Major: 1, Minor: 3},
				{Kind: rootfs.MakeNode, Path: "dev/disk", Mode: rootfs.ModeBlock | 0o660, Major: 259, Minor: 1000, GID: 6},
				{Kind: rootfs.MakeNode, Path: "dev/fifo", Mode: rootfs.ModeFIFO | 0o600},
				{Kind: rootfs.WriteFile, Path: "boot/grub/new", Mode: 0o644, Content: []byte("gone soon")},
				{Kind: rootfs.Remove, Path: "boot"},
				{Kind: rootfs.MakeDir, Path: "boot", Mode: 0o755},
				{Kind: rootfs.WriteFile, Path: "boot/vmlinuz", Mode: 0o600, Content: []byte("another")},
				{Kind: rootfs.Remove, Path: "nothing/at/all"},
				{Kind: rootfs.Remove, Path: "dev/fifo"},
			}
			if err := debugfs.Apply(t.Context(), image, 0, changes); err != nil {
				t.Fatal(err)
			}
			if err := debugfs.Check(t.Context(), image, 0); err != nil {
				t.Fatal(err)
			}
			checkApplied(t, open(t, image), source, modified, label)
		})
	}
}

func checkApplied(t *testing.T, volume *ext4.FS, source string, modified time.Time, label []byte) {
	t.Helper()
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/fstab": "new\n", "etc/link": "a file now", "etc/hosts": "hosts", "usr/lib/modules/6.1/kernel/a.ko": string(data), "streamed": string(data),
		"empty": "", "usr/bin/agent": "agent", "home/agent": "agent", "home/a": "x", "home/c": "x", "boot/vmlinuz": "another", "usr/lib/os-release": "ID=debian",
	} {
		if got := read(t, volume, name); got != want {
			t.Errorf("%s holds %.100q", name, got)
		}
	}
	fstab := stat(t, volume, "etc/fstab")
	if fstab.Mode != 0o100644 || fstab.UID != 70001 || fstab.GID != 80002 || !fstab.Mtime.Equal(modified) || !fstab.Ctime.Equal(modified) || !fstab.Atime.Equal(modified) {
		t.Errorf("etc/fstab: %+v", fstab)
	}
	xattrs, err := volume.Xattrs("etc/fstab")
	if err != nil || len(xattrs) != 3 || !bytes.Equal(xattrs["security.selinux"], label) || len(xattrs["user.big"]) != 600 {
		t.Errorf("attributes of etc/fstab: %v, %v", xattrs, err)
	}
	for _, name := range []string{"usr/lib/modules/6.1/kernel/a.ko", "streamed"} {
		if s := stat(t, volume, name); s.Blocks*512 > 256<<10 {
			t.Errorf("%s has no holes: %d bytes on disk", name, s.Blocks*512)
		}
	}
	for name, want := range map[string]string{
		"usr/lib/snpguard": "42750 5:6 2", "home": "40755 0:0 2", "usr/lib/modules": "40755 0:0 3", "usr/bin/agent": "120777 7:8 1", "etc/link": "104711 0:0 1",
		"home/a": "100640 0:0 2", "home/agent": "100755 0:0 2", "dev/null": "20666 0:0 1", "dev/disk": "60660 0:6 1", "boot": "40755 0:0 2", "empty": "100000 0:0 1",
	} {
		s := stat(t, volume, name)
		if got := fmt.Sprintf("%o %d:%d %d", s.Mode, s.UID, s.GID, s.Links); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if s := stat(t, volume, "dev/disk"); s.Major != 259 || s.Minor != 1000 {
		t.Errorf("device %d:%d", s.Major, s.Minor)
	}
	if target, err := volume.ReadLink("etc/long"); err != nil || target != strings.Repeat("0123456789/", 50) {
		t.Errorf("etc/long: %q, %v", target, err)
	}
	for _, name := range []string{"boot/grub", "home/b", "dev/fifo", "etc/up/nothing"} {
		if _, err := volume.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOddNames lets every odd name go through debugfs's language.
func TestOddNames(t *testing.T) {
	image := rootfstest.Make(t, 32, "", "-t", "ext4")
	var changes []rootfs.Change
	for _, name := range rootfstest.OddNames() {
		changes = append(changes,
			rootfs.Change{Kind: rootfs.WriteFile, Path: "odd/" + name, Content: []byte(name), Xattrs: map[string][]byte{"user.a b\"c": []byte(name)}},
			rootfs.Change{Kind: rootfs.WriteFile, Path: name, Content: []byte(name)},
			rootfs.Change{Kind: rootfs.Symlink, Path: "link/" + name, Target: name},
			rootfs.Change{Kind: rootfs.HardLink, Path: "hard/" + name, Target: "odd/" + name},
			rootfs.Change{Kind: rootfs.MakeDir, Path: "dir/" + name + "/" + name, Mode: 0o700},
			rootfs.Change{Kind: rootfs.MakeNode, Path: "node/" + name, Mode: rootfs.ModeFIFO},
			rootfs.Change{Kind: rootfs.WriteFile, Path: "gone/" + name})
	}
	if err := debugfs.Apply(t.Context(), image, 0, changes); err != nil {
		t.Fatal(err)
	}
	changes = changes[:0]
	for _, name := range rootfstest.OddNames() {
		changes = append(changes, rootfs.Change{Kind: rootfs.Remove, Path: "gone/" + name}, rootfs.Change{Kind: rootfs.Remove, Path: "dir/" + name})
	}
	if err := debugfs.Apply(t.Context(), image, 0, changes); err != nil {
		t.Fatal(err)
	}
	if err := debugfs.Check(t.Context(), image, 0); err != nil {
		t.Fatal(err)
	}
	volume := open(t, image)
	for dir, want := range map[string]int{"odd": 1, "link": 1, "hard": 1, "node": 1, "gone": 0, "dir": 0} {
		list, err := volume.ReadDir(dir)
		if err != nil || len(list) != want*len(rootfstest.OddNames()) {
			t.Errorf("%s has %d names, %v", dir, len(list), err)
		}
	}
	for _, name := range rootfstest.OddNames() {
		if read(t, volume, "odd/"+name) != name || read(t, volume, name) != name {
			t.Errorf("%q holds something else", name)
		}
		if target, err := volume.ReadLink("link/" + name); err != nil || target != name {
			t.Errorf("link %q leads to %q, %v", name, target, err)
		}
	}
}

func TestRefused(t *testing.T) {
	image := rootfstest.Make(t, 32, smallTree(t), "-t", "ext4")
	before, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []rootfs.Change{
		{Kind: rootfs.WriteFile, Path: "a\nrm /etc/fstab"},
		{Kind: rootfs.WriteFile, Path: "a\r"},
		{Kind: rootfs.WriteFile, Path: "a\x00b"},
		{Kind: rootfs.WriteFile, Path: "a\nb/c"},
		{Kind: rootfs.Symlink, Path: "a", Target: "b\nrm /etc/fstab"},
		{Kind: rootfs.Symlink, Path: "a"},
		{Kind: rootfs.Symlink, Path: "a", Target: strings.Repeat("x", 5000)},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"user.x\n": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"-f": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"other.x": nil}},
		{Kind: rootfs.WriteFile, Path: "a", Xattrs: map[string][]byte{"user.x": make([]byte, 1025)}},
		{Kind: rootfs.WriteFile, Path: strings.Repeat("n", 256)},
		{Kind: rootfs.WriteFile, Path: strings.Repeat("\"d/", 2000) + "f"},
		{Kind: rootfs.WriteFile, Path: "../a"},
		{Kind: rootfs.WriteFile, Path: "etc/../a"},
		{Kind: rootfs.WriteFile, Path: "etc/"},
		{Kind: rootfs.WriteFile, Path: ""},
		{Kind: rootfs.WriteFile, Path: "/"},
		{Kind: rootfs.WriteFile, Path: "etc"},
		{Kind: rootfs.WriteFile, Path: "etc/fstab/x"},
		{Kind: rootfs.WriteFile, Path: "loop/x"},
		{Kind: rootfs.WriteFile, Path: "a", Mode: 0o100644},
		{Kind: rootfs.WriteFile, Path: "a", ModTime: time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Kind: rootfs.WriteFile, Path: "a", Source: "/"},
		{Kind: rootfs.MakeDir, Path: "etc/fstab"},
		{Kind: rootfs.MakeNode, Path: "a", Mode: rootfs.ModeSocket},
		{Kind: rootfs.HardLink, Path: "a", Target: "etc"},
		{Kind: rootfs.HardLink, Path: "a", Target: "missing"},
		{Kind: rootfs.HardLink, Path: "etc/fstab", Target: "etc/fstab"},
		{Kind: rootfs.Remove, Path: "."},
		{Path: "a"},
	} {
		if err := debugfs.Apply(t.Context(), image, 0, []rootfs.Change{c}); !errors.Is(err, rootfs.ErrChange) {
			t.Errorf("%.200q: %v", fmt.Sprint(c), err)
		}
	}
	if after, err := os.ReadFile(image); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image was touched (%v)", err)
	}
}

func TestFull(t *testing.T) {
	image := rootfstest.Make(t, 4, smallTree(t), "-t", "ext4", "-N", "64")
	big := rootfs.Change{Kind: rootfs.WriteFile, Path: "big", Content: bytes.Repeat([]byte("x"), 8<<20)}
	if err := debugfs.Apply(t.Context(), image, 0, []rootfs.Change{big}); !errors.Is(err, rootfs.ErrFull) {
		t.Errorf("no blocks: %v", err)
	}
	image = rootfstest.Make(t, 4, smallTree(t), "-t", "ext4", "-N", "64")
	var many []rootfs.Change
	for i := range 100 {
		many = append(many, rootfs.Change{Kind: rootfs.WriteFile, Path: fmt.Sprint(i)})
	}
	if err := debugfs.Apply(t.Context(), image, 0, many); !errors.Is(err, rootfs.ErrFull) {
		t.Errorf("no inodes: %v", err)
	}
}

func TestOffset(t *testing.T) {
	const offset = 3 << 20
	bare, err := os.ReadFile(rootfstest.Make(t, 16, smallTree(t), "-t", "ext4"))
	if err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "disk?offset=7.raw")
	front, back := bytes.Repeat([]byte{0xAA}, offset), bytes.Repeat([]byte{0xBB}, 1<<20)
	if err := os.WriteFile(image, append(append(front, bare...), back...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := debugfs.Apply(t.Context(), image, offset, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "etc/fstab", Content: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if err := debugfs.Check(t.Context(), image, offset); err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(image)
	if err != nil || len(disk) != offset+len(bare)+len(back) || !bytes.HasPrefix(disk, bytes.Repeat([]byte{0xAA}, offset)) || !bytes.HasSuffix(disk, back) {
		t.Fatalf("what is around the file system was touched (%v)", err)
	}
	volume, err := ext4.Open(bytes.NewReader(disk[offset:]), int64(len(bare)))
	if err != nil || read(t, volume, "etc/fstab") != "new" {
		t.Fatalf("nothing was written: %v", err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	image := rootfstest.Make(t, 16, smallTree(t), "-t", "ext4")
	if err := debugfs.Check(t.Context(), image, 0); err != nil {
		t.Fatal(err)
	}
	rootfstest.Debugfs(t, image, "sif /etc/hosts links_count 7")
	if err := debugfs.Check(t.Context(), image, 0); !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a wrong link count: %v", err)
	}
}

func TestRecover(t *testing.T) {
	image := rootfstest.Make(t, 32, smallTree(t), "-t", "ext4", "-b", "1024")
	data := filepath.Join(t.TempDir(), "block")
	if err := os.WriteFile(data, append([]byte("HOSTS"), make([]byte, 1019)...), 0o600); err != nil {
		t.Fatal(err)
	}
	number := firstBlock(t, image, "/etc/hosts")
	rootfstest.Debugfs(t, image, "journal_open", "journal_write -b "+number+" "+data, "journal_close")
	if !open(t, image).NeedsRecovery() || read(t, open(t, image), "etc/hosts") != "hosts" {
		t.Fatal("the image needs no recovery")
	}
	for r, err := range open(t, image).Used() {
		if err != nil || r != (rootfs.Range{Length: 32 << 20}) {
			t.Errorf("used before recovery: %+v, %v", r, err)
		}
	}
	err := debugfs.Apply(t.Context(), image, 0, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a"}})
	if !errors.Is(err, rootfs.ErrCorrupt) {
		t.Errorf("a change before recovery: %v", err)
	}
	for range 2 {
		if err := debugfs.Recover(t.Context(), image, 0); err != nil {
			t.Fatal(err)
		}
	}
	if open(t, image).NeedsRecovery() || read(t, open(t, image), "etc/hosts") != "HOSTS" {
		t.Error("the journal was not replayed")
	}
	if err := debugfs.Check(t.Context(), image, 0); err != nil {
		t.Error(err)
	}
}

// firstBlock asks debugfs where a file begins.
func firstBlock(t *testing.T, image, path string) string {
	t.Helper()
	for _, line := range strings.Split(rootfstest.Run(t, "debugfs", []string{"-R", "blocks " + path, image}), "\n") {
		if number := strings.TrimSpace(line); number != "" {
			return number
		}
	}
	t.Fatal("no blocks")
	return ""
}

func TestCancelled(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := debugfs.Apply(ctx, image, 0, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "a"}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestMissingProgram(t *testing.T) {
	if _, err := debugfs.Program("no-such-program"); !errors.Is(err, rootfs.ErrProgram) || !strings.Contains(err.Error(), "e2fsprogs") {
		t.Error(err)
	}
}
