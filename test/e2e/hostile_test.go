//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// outside is what no image may make the conversion read: a boot menu of the host
// that would work. An image that leads there would be converted.
func outside(t *testing.T, dir string) string {
	t.Helper()
	menu, err := os.ReadFile(filepath.Join(dir, "boot/grub/grub.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	host := t.TempDir()
	write(t, host, "grub.cfg", string(menu))
	release := releaseOf(t, os.DirFS(dir))
	for _, name := range []string{"vmlinuz-" + release, "initrd.img-" + release} {
		copyFile(t, os.DirFS(dir), "boot/"+name, filepath.Join(host, name))
	}
	return host
}

// notTaken converts an image that has to be refused with words that name the
// cause, and looks for what is left.
func notTaken(t *testing.T, source string, words []string, args ...string) {
	t.Helper()
	before := hashFile(t, source)
	dir := t.TempDir()
	said := refused(t, exitEnvironment, append([]string{
		"--in", source, "--out", filepath.Join(dir, "image"), "--staging", filepath.Join(dir, "staging"),
	}, args...)...)
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%q is not in: %s", word, said)
		}
	}
	if len(said) > 1000 {
		t.Errorf("the error has %d characters: %s", len(said), said)
	}
	t.Log(said)
	empty(t, dir)
	if hashFile(t, source) != before {
		t.Error("the source was changed")
	}
}

// What is wrong with a tree is told by name.
func TestHostileTrees(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string)
		words  []string
	}{
		"menu is a link to a file of the host": {func(t *testing.T, dir string) {
			link(t, filepath.Join(outside(t, dir), "grub.cfg"), filepath.Join(dir, "boot/grub/grub.cfg"))
		}, []string{"no kernel that can run", "nothing that boots Linux"}},
		"menu is a link to above the root": {func(t *testing.T, dir string) {
			link(t, "../../../../../../../../.."+filepath.Join(outside(t, dir), "grub.cfg"), filepath.Join(dir, "boot/grub/grub.cfg"))
		}, []string{"nothing that boots Linux"}},
		"menu is a link to passwd": {func(t *testing.T, dir string) {
			link(t, "/etc/passwd", filepath.Join(dir, "boot/grub/grub.cfg"))
		}, []string{"nothing that boots Linux"}},
		"menu is a loop": {func(t *testing.T, dir string) {
			link(t, "grub.cfg", filepath.Join(dir, "boot/grub/grub.cfg"))
		}, []string{"boot/grub/grub.cfg", "too many"}},
		"menu is a directory": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "boot/grub/grub.cfg"))
			mkdir(t, filepath.Join(dir, "boot/grub/grub.cfg"))
		}, []string{"boot/grub/grub.cfg is not a regular file"}},
		"menu is huge": {func(t *testing.T, dir string) {
			write(t, dir, "boot/grub/grub.cfg", strings.Repeat("# words\n", 1<<20))
		}, []string{"boot/grub/grub.cfg has more than"}},
		"menu is endless": {func(t *testing.T, dir string) {
			write(t, dir, "boot/grub/grub.cfg", "function f { f; }\nf\n")
		}, []string{"boot/grub/grub.cfg"}},
		"menu leads out by its paths": {func(t *testing.T, dir string) {
			up := "/../../../../../../../../.." + outside(t, dir)
			release := releaseOf(t, os.DirFS(dir))
			write(t, dir, "boot/grub/grub.cfg", fmt.Sprintf("menuentry 'x' {\nlinux %s/vmlinuz-%s root=/dev/vda1\ninitrd %s/initrd.img-%s\n}\n", up, release, up, release))
		}, []string{"no kernel that can run", "the file is not there"}},
		"entry leads out by its paths": {func(t *testing.T, dir string) {
			up := "../../../../../../../../.." + outside(t, dir)
			remove(t, filepath.Join(dir, "boot/grub/grub.cfg"))
			write(t, dir, "boot/loader/entries/a.conf", "title x\nlinux "+up+"/vmlinuz-"+releaseOf(t, os.DirFS(dir))+"\n")
		}, []string{"no kernel that can run", "the file is not there"}},
		"kernel is a link out": {func(t *testing.T, dir string) {
			name := "vmlinuz-" + releaseOf(t, os.DirFS(dir))
			link(t, filepath.Join(outside(t, dir), name), filepath.Join(dir, "boot", name))
		}, []string{"no kernel that can run", "the file is not there"}},
		"modules in a circle": {func(t *testing.T, dir string) {
			modulesDep(t, dir, func(line string) string {
				if strings.HasPrefix(line, "kernel/drivers/md/dm-mod.ko") {
					return strings.TrimSuffix(line, "\n") + " kernel/drivers/md/dm-crypt.ko.xz\n"
				}
				return line
			})
		}, []string{"in a circle", "dm_crypt needs dm_mod"}},
		"modules lead out": {func(t *testing.T, dir string) {
			modulesDep(t, dir, func(line string) string {
				return strings.ReplaceAll(line, "kernel/drivers/md/dm-crypt", "../../../../../../../../tmp/dm-crypt")
			})
		}, []string{"modules"}},
		"no modules": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "usr/lib/modules"))
		}, []string{"no kernel that can run", "it has no modules in lib/modules/"}},
		"kernel without SNP": {func(t *testing.T, dir string) {
			name := "boot/config-" + releaseOf(t, os.DirFS(dir))
			config, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, name, strings.Replace(string(config), "CONFIG_AMD_MEM_ENCRYPT=y", "# CONFIG_AMD_MEM_ENCRYPT is not set", 1))
		}, []string{"no kernel that can run", "CONFIG_AMD_MEM_ENCRYPT is not set"}},
		"kernel is none": {func(t *testing.T, dir string) {
			write(t, dir, "boot/vmlinuz-"+releaseOf(t, os.DirFS(dir)), "no kernel")
		}, []string{"no kernel that can run", "it cannot be read"}},
		"no kernel": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "boot/vmlinuz-"+releaseOf(t, os.DirFS(dir))))
		}, []string{"no kernel", "vmlinuz-VERSION"}},
		"no system": {func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "usr/lib/os-release"))
			remove(t, filepath.Join(dir, "etc/os-release"))
		}, []string{"no root file system", "etc/os-release"}},
		"command line of control characters": {func(t *testing.T, dir string) {
			setMenu(t, dir, "root=/dev/vda1 \x1b]0;x\x07")
		}, []string{"kernel command line"}},
		"fstab is huge": {func(t *testing.T, dir string) {
			write(t, dir, "etc/fstab", strings.Repeat("# words\n", 1<<20))
		}, []string{"etc/fstab", "more than"}},
		"fstab is binary": {func(t *testing.T, dir string) {
			write(t, dir, "etc/fstab", "\x00\x01")
		}, []string{"etc/fstab is not text"}},
		"what is written leads to a file in the way": {func(t *testing.T, dir string) {
			write(t, dir, "usr/bin", "in the way")
		}, []string{"usr/bin", "not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := oddTree(t)
			test.change(t, dir)
			notTaken(t, gptDisk(t, rootPart(t, dir)), test.words)
		})
	}
}

// TestHostileInitrds has none that the agent could be appended to.
func TestHostileInitrds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string)
		words  []string
	}{
		"initrd is a link out": {func(t *testing.T, dir string) {
			name := "initrd.img-" + releaseOf(t, os.DirFS(dir))
			link(t, filepath.Join(outside(t, dir), name), filepath.Join(dir, "boot", name))
		}, []string{"initrd", "not exist"}},
		"no initrd": {func(t *testing.T, dir string) {
			write(t, dir, "boot/grub/grub.cfg", "menuentry 'x' {\nlinux /boot/vmlinuz-"+releaseOf(t, os.DirFS(dir))+" root=/dev/vda1\n}\n")
			remove(t, filepath.Join(dir, "boot/initrd.img-"+releaseOf(t, os.DirFS(dir)))) // would be taken, beside the kernel
		}, []string{"no initrd"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := oddTree(t)
			test.change(t, dir)
			notTaken(t, gptDisk(t, rootPart(t, dir)), test.words, "--initrd", "distribution")
		})
	}
}

// Links that lead out of the image are written below its root, never outside.
func TestEditsStayInside(t *testing.T) {
	dir, host := oddTree(t), t.TempDir()
	if err := os.RemoveAll(filepath.Join(dir, "etc/cloud")); err != nil {
		t.Fatal(err)
	}
	link(t, host, filepath.Join(dir, "usr/bin"))
	link(t, strings.Repeat("../", 20)+host[1:], filepath.Join(dir, "etc/udev"))
	root := rootPart(t, dir)
	c := convertOdd(t, gptDisk(t, root))
	empty(t, host)
	vmk := recovered(t, c)
	after := rootfstest.Open(t, decrypted(t, rootPartition(t, rawCopy(t, c.Image), c.Conversion), vmk, c.Conversion))
	for _, name := range []string{"snpguard-agent", "rules.d/59-snpguard.rules"} {
		if _, err := after.Lstat(filepath.Join(host[1:], name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	remove(t, name)
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

func modulesDep(t *testing.T, dir string, change func(line string) string) {
	t.Helper()
	name := "usr/lib/modules/" + releaseOf(t, os.DirFS(dir)) + "/modules.dep"
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var changed strings.Builder
	for line := range strings.Lines(string(content)) {
		changed.WriteString(change(line))
	}
	if changed.String() == string(content) {
		t.Fatal("nothing to change")
	}
	write(t, dir, name, changed.String())
}

// Names of a separate /boot are carried over whatever they are, and what cannot
// be is refused.
func TestHostileBoot(t *testing.T) {
	build := func(t *testing.T, change func(boot string)) layout {
		dir := oddTree(t)
		boot := splitBoot(t, dir)
		change(boot)
		return separateBoot(t, dir, boot)
	}
	t.Run("odd names", func(t *testing.T) {
		l := build(t, func(boot string) {
			for _, name := range []string{`"; rm x`, `<2>`, "-f", "#x", " ", "$(id)", "\x1b[31m", "\xff", `"`, "quit", strings.Repeat("n", 255)} {
				write(t, boot, name, name)
			}
			link(t, "/etc/shadow", filepath.Join(boot, "link to shadow"))
			link(t, "../../../../etc/passwd", filepath.Join(boot, "link up"))
			if err := syscall.Mkfifo(filepath.Join(boot, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(filepath.Join(boot, "#x"), filepath.Join(boot, "second name")); err != nil {
				t.Fatal(err)
			}
		})
		verify(t, convertOdd(t, l.raw), l)
	})
	t.Run("line break", func(t *testing.T) {
		l := build(t, func(boot string) { write(t, boot, "a\nrm <2>", "x") })
		notTaken(t, l.raw, []string{"line break"})
	})
}
