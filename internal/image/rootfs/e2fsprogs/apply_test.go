package e2fsprogs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/e2fsprogs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

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
			fine := rootfstest.Open(t, image).FineTimes()
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
			if err := e2fsprogs.Apply(t.Context(), image, 0, changes); err != nil {
				t.Fatal(err)
			}
			if err := e2fsprogs.Check(t.Context(), image, 0); err != nil {
				t.Fatal(err)
			}
			checkApplied(t, rootfstest.Open(t, image), source, modified, label)
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
	if err := e2fsprogs.Apply(t.Context(), image, 0, changes); err != nil {
		t.Fatal(err)
	}
	changes = changes[:0]
	for _, name := range rootfstest.OddNames() {
		changes = append(changes, rootfs.Change{Kind: rootfs.Remove, Path: "gone/" + name}, rootfs.Change{Kind: rootfs.Remove, Path: "dir/" + name})
	}
	if err := e2fsprogs.Apply(t.Context(), image, 0, changes); err != nil {
		t.Fatal(err)
	}
	if err := e2fsprogs.Check(t.Context(), image, 0); err != nil {
		t.Fatal(err)
	}
	volume := rootfstest.Open(t, image)
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
	if err := e2fsprogs.Apply(t.Context(), image, offset, []rootfs.Change{{Kind: rootfs.WriteFile, Path: "etc/fstab", Content: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if err := e2fsprogs.Check(t.Context(), image, offset); err != nil {
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
