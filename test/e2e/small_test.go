//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// smallRoot is the size of the root partition of a small image, in MiB.
const smallRoot = 128

// smallImage makes an image with the kernel, initrd and modules of a real one and
// little else: all that a boot needs up to the hand-over, converted in seconds. Its
// kernel logs warnings and what the agent says; its init is the probe.
func smallImage(t testing.TB, kind string) string {
	t.Helper()
	return conversionSources.get(kind, func() string {
		dir := filepath.Join(scratch, "small-"+kind)
		tree := filepath.Join(dir, "tree")
		source := openRoot(t, image(t, kind), 1)
		copyOut(t, source, "usr/lib/modules", tree)
		copyOut(t, source, "boot", tree)
		for name, content := range map[string]string{
			"etc/os-release": "ID=debian\nPRETTY_NAME=\"A small Debian\"\nVERSION_ID=13\n",
			"etc/fstab":      "PARTUUID=" + smallGUID + " / ext4 rw 0 1\n",
			"boot/grub/grub.cfg": "menuentry 'Small' {\n linux /boot/" + nameOf(t, tree, "vmlinuz-*") + " root=PARTUUID=" + smallGUID +
				" ro console=ttyS0 loglevel=6 no_timer_check stray=word single -s\n initrd /boot/" + nameOf(t, tree, "initrd.img-*") + "\n}\n",
		} {
			writeFile(t, filepath.Join(tree, name), content)
		}
		for name, target := range map[string]string{"lib": "usr/lib", "sbin": "usr/sbin"} {
			if err := os.Symlink(target, filepath.Join(tree, name)); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{"dev", "proc", "sys", "run", "usr/sbin"} {
			if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		output(t, "cp", program("probe"), filepath.Join(tree, "usr/sbin/init"))
		disk := filepath.Join(dir, "disk.raw")
		root := filepath.Join(dir, "root.ext4")
		output(t, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", tree, root, fmt.Sprintf("%dM", smallRoot))
		output(t, "qemu-img", "create", "-q", "-f", "raw", disk, fmt.Sprintf("%dM", smallRoot+2))
		output(t, "sgdisk", "-n", fmt.Sprintf("1:2048:+%dM", smallRoot), "-t", "1:8304", "-u", "1:"+smallGUID, disk)
		output(t, "dd", "if="+root, "of="+disk, "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
		for _, done := range []string{tree, root} {
			if err := os.RemoveAll(done); err != nil {
				t.Fatal(err)
			}
		}
		return disk
	})
}

var conversionSources once[string]

// smallGUID is the unique GUID of the root partition of every small image.
const smallGUID = "6f0c1a52-8f0f-4b65-9a3e-5f3a1c0d1e01"

// copyOut copies a directory of an image, regular files and directories alone.
func copyOut(t testing.TB, from rootfs.Volume, name, to string) {
	t.Helper()
	err := fs.WalkDir(from, name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		in, err := from.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(filepath.Join(to, path))
		if err != nil {
			return err
		}
		defer out.Close()
		_, err = io.Copy(out, in)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nameOf returns the name of the one file in /boot that matches.
func nameOf(t testing.TB, tree, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(tree, "boot", pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in /boot: %q, %v", pattern, found, err)
	}
	return filepath.Base(found[0])
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// small returns a small image, converted as users do. All tests share it.
func small(t testing.TB, kind string) *conversion { return smallNamed(t, kind, "small-"+kind) }

// smallNamed returns another one, with another image ID and more flags.
func smallNamed(t testing.TB, kind, name string, flags ...string) *conversion {
	t.Helper()
	return conversions.get(name, func() *conversion { return convertSmall(t, kind, name+"-image", flags...) })
}

// convertSmall converts a small image into a directory of its own, raw so that
// attackers find their place in it, with more flags.
func convertSmall(t testing.TB, kind, name string, flags ...string) *conversion {
	t.Helper()
	return convertFile(t, smallImage(t, kind), filepath.Join(scratch, name), append([]string{"--format", "raw"}, flags...)...)
}
