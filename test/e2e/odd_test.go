//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

// Names of the small images' parts.
const (
	rootGUID  = "0f0e0d0c-1111-4222-8333-000000000001" // of the root partition
	bootGUID  = "0f0e0d0c-1111-4222-8333-000000000002"
	rootUUID  = "aaaaaaaa-1111-4222-8333-000000000001" // of the root file system
	bootUUID  = "aaaaaaaa-1111-4222-8333-000000000002"
	rootLabel = "small-root"
)

// canary is in every small root and must never be seen in clear.
const canary = "canary 7c1f0b5e9d: this was in the source"

// oddParts has what the real Debian image needs to boot and little else.
var oddParts once[string]

// oddTree returns a copy of a small root, as a directory to be changed.
func oddTree(t testing.TB) string {
	t.Helper()
	parts := oddParts.get("debian", func() string { return extractParts(t, filepath.Join(scratch, "parts")) })
	dir := filepath.Join(t.TempDir(), "root")
	output(t, "cp", "-a", parts, dir)
	return dir
}

// extractParts takes kernel, initrd, configuration, the agent's modules and the
// boot menu out of the real image, and adds files of every sort.
func extractParts(t testing.TB, dir string) string {
	t.Helper()
	root := openRoot(t, image(t, "debian"), 1)
	release := releaseOf(t, root)
	names := []string{
		"boot/vmlinuz-" + release, "boot/initrd.img-" + release, "boot/config-" + release, "boot/grub/grub.cfg",
		"usr/lib/os-release", "etc/passwd", "etc/shadow", "etc/cloud/cloud.cfg", "usr/lib/systemd/system/qemu-guest-agent.service",
	}
	tree, err := kmod.Open(root, release)
	if err != nil {
		t.Fatal(err)
	}
	closure, err := tree.Closure(append(kmod.ForAgent(), kmod.ForRoot("ext4")...))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range closure.Modules {
		names = append(names, "usr/"+m.Path)
	}
	for _, index := range []string{"modules.dep", "modules.builtin", "modules.alias"} {
		names = append(names, "usr/lib/modules/"+release+"/"+index)
	}
	for _, name := range names {
		copyFile(t, root, name, filepath.Join(dir, name))
	}
	for name, target := range map[string]string{"lib": "usr/lib", "etc/os-release": "../usr/lib/os-release", "dangling": "/no/where"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "etc/fstab", "PARTUUID="+rootGUID+" / ext4 rw,discard,errors=remount-ro 0 1\n")
	if err := os.MkdirAll(filepath.Join(dir, "boot/efi"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "home/u/canary", strings.Repeat(canary+"\n", 100))
	write(t, dir, "home/u/ünï \"quoted\" name", "x")
	write(t, dir, "home/u/zeros", strings.Repeat("\x00", 1<<20))
	for _, do := range []error{
		os.Link(filepath.Join(dir, "home/u/canary"), filepath.Join(dir, "home/u/hard link")),
		os.WriteFile(filepath.Join(dir, "home/u/sparse"), []byte("start"), 0o600),
		os.Truncate(filepath.Join(dir, "home/u/sparse"), 64<<20),
		os.Chmod(filepath.Join(dir, "home/u/zeros"), 0o711|fs.ModeSetuid),
		unix.Setxattr(filepath.Join(dir, "home/u/canary"), "user.note", []byte("kept"), 0),
	} {
		if do != nil {
			t.Fatal(do)
		}
	}
	setMenu(t, dir, "root=PARTUUID="+rootGUID)
	return dir
}

func releaseOf(t testing.TB, root fs.FS) string {
	t.Helper()
	found, err := fs.Glob(root, "usr/lib/modules/*/modules.dep")
	if err != nil || len(found) != 1 {
		t.Fatalf("kernels: %q, %v", found, err)
	}
	return filepath.Base(filepath.Dir(found[0]))
}

func copyFile(t testing.TB, from fs.FS, name, to string) {
	t.Helper()
	in, err := from.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// write makes a file of a tree.
func write(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// setMenu names another root in the boot menu.
func setMenu(t testing.TB, dir, root string) {
	t.Helper()
	path := filepath.Join(dir, "boot/grub/grub.cfg")
	menu, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	menu = regexp.MustCompile(`root=[A-Z]+=\S+`).ReplaceAll(menu, []byte(root))
	if err := os.WriteFile(path, menu, 0o644); err != nil {
		t.Fatal(err)
	}
}

// splitBoot takes /boot out of a tree, for a file system of its own.
func splitBoot(t testing.TB, dir string) string {
	t.Helper()
	boot := filepath.Join(t.TempDir(), "boot")
	if err := os.Rename(filepath.Join(dir, "boot"), boot); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "boot"), 0o755); err != nil {
		t.Fatal(err)
	}
	menu, err := os.ReadFile(filepath.Join(boot, "grub/grub.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, boot, "grub/grub.cfg", strings.ReplaceAll(string(menu), "/boot/", "/"))
	return boot
}

// mkfs makes an ext file system of a directory; mke2fs's arguments come last.
func mkfs(t testing.TB, dir string, mib int, args ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "fs")
	if !slices.Contains(args, "-t") {
		args = append(args, "-t", "ext4")
	}
	all := append([]string{"-q", "-F", "-U", rootUUID, "-L", rootLabel, "-d", dir}, args...)
	output(t, "mke2fs", append(all, image, fmt.Sprintf("%dM", mib))...)
	return image
}

// rootPart is the file system of a tree in a partition of its own.
func rootPart(t testing.TB, dir string, args ...string) part {
	t.Helper()
	return part{number: 1, kind: "8304", guid: rootGUID, name: "root", mib: 96, content: mkfs(t, dir, 96, args...)}
}

// part is a partition of a small disk.
type part struct {
	number     int
	kind       string // as sgdisk names it
	guid, name string
	mib        int
	content    string // file; "" for zeros
}

// gptDisk writes a raw disk with a GPT, in the order of its parts, and returns
// its path.
func gptDisk(t testing.TB, parts ...part) string {
	t.Helper()
	path, end := newDisk(t, parts)
	args := []string{"-a", "1"}
	at := 1
	for _, p := range parts {
		args = append(args, "-n", fmt.Sprintf("%d:%d:%d", p.number, at*2048, (at+p.mib)*2048-1),
			"-t", fmt.Sprintf("%d:%s", p.number, p.kind), "-c", fmt.Sprintf("%d:%s", p.number, p.name))
		if p.guid != "" {
			args = append(args, "-u", fmt.Sprintf("%d:%s", p.number, p.guid))
		}
		at += p.mib
	}
	if at != end {
		t.Fatal("the parts do not add up")
	}
	output(t, "sgdisk", append(args, path)...)
	return path
}

// newDisk writes what the parts hold, the first at 1 MiB, with a MiB behind the
// last one.
func newDisk(t testing.TB, parts []part) (path string, end int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "disk.raw")
	end = 1
	for _, p := range parts {
		if p.content != "" {
			output(t, "dd", "if="+p.content, "of="+path, "bs=1M", fmt.Sprintf("seek=%d", end), "conv=notrunc,sparse", "status=none")
		}
		end += p.mib
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(end+1) << 20); err != nil {
		t.Fatal(err)
	}
	return path, end
}

// rawCopy returns an image as a raw file.
func rawCopy(t testing.TB, source string) string {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "source.raw")
	output(t, "qemu-img", "convert", "-O", "raw", source, raw)
	return raw
}
