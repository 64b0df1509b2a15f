package linuxpkg_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
)

const release = "6.12.117+deb13-cloud-amd64"

func write(tb testing.TB, content []byte) linuxpkg.Source {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "package")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		tb.Fatal(err)
	}
	return linuxpkg.Source{Path: file}
}

func open(t *testing.T, packages ...[]byte) *linuxpkg.Set {
	t.Helper()
	var sources []linuxpkg.Source
	for _, p := range packages {
		sources = append(sources, write(t, p))
	}
	set, err := linuxpkg.Open(t.TempDir(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// kernel is the files of a kernel, and of what else a package has.
func kernel(prefix string) []pkgtest.File {
	return append(pkgtest.Kernel(release, prefix), pkgtest.File{Name: "./usr/share/doc/changelog", Content: "none"},
		pkgtest.File{Name: "./etc/shadow", Content: "root::0:0:::::"}, pkgtest.File{Name: "./usr/bin/x", Target: "../../etc"})
}

// A kernel's packages give the kernel, and a tree of modules that needs no depmod.
func TestPackagesOfAKernel(t *testing.T) {
	files := kernel("./")
	for name, packages := range map[string][][]byte{
		"deb, xz":    {pkgtest.Deb(t, "linux-image", "6.12.117-1", ".xz", files...)},
		"deb, zst":   {pkgtest.Deb(t, "linux-image", "6.12.117-1", ".zst", kernel("./usr/")...)},
		"deb, plain": {pkgtest.Deb(t, "linux-image", "6.12.117-1", "", files...)},
		"rpm, zst":   {pkgtest.RPM(t, "linux-image", ".zst", files...)},
		"rpm, xz":    {pkgtest.RPM(t, "linux-image", ".xz", kernel("./usr/")...)},
		"two debs":   {pkgtest.Deb(t, "linux-image", "6.12.117-1", ".gz", files[:6]...), pkgtest.Deb(t, "linux-modules", "6.12.117-1", "", files[6:]...)},
	} {
		t.Run(name, func(t *testing.T) {
			set := open(t, packages...)
			of, file, err := set.Kernel()
			if err != nil || of != release || file != "boot/vmlinuz-"+release || !set.HasModules() {
				t.Fatalf("got %q, %q, %v", of, file, err)
			}
			p := set.Packages[0]
			if len(set.Packages) != len(packages) || p.Name != "linux-image" || p.Version != "6.12.117-1" && p.Version != "6.12.0-1" || len(p.SHA256) != 64 {
				t.Errorf("packages %+v", set.Packages)
			}
			tree, err := kmod.OpenPackaged(set.FS, release)
			if err != nil {
				t.Fatal(err)
			}
			c, err := tree.Closure(kmod.ForInitrd(true, "ext4"))
			if err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, m := range c.Modules {
				order = append(order, m.Name)
			}
			if got := strings.Join(order, " "); got != "dm_mod dm_crypt ecb xts configfs tsm sev_guest virtio_blk" {
				t.Errorf("load order %s", got)
			}
			onlyKernels(t, set.FS)
		})
	}
}

func onlyKernels(t *testing.T, fsys fs.FS) {
	t.Helper()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (!d.Type().IsRegular() || !strings.HasPrefix(name, kmod.Dir+"/"+release+"/") && !strings.HasPrefix(name, "boot/")) {
			t.Errorf("%s was unpacked", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPackageOfDpkg(t *testing.T) {
	dir := t.TempDir()
	for _, f := range append(pkgtest.Kernel(release, "./usr/"), pkgtest.File{Name: "./DEBIAN/control", Content: "Package: extra\nVersion: 1:2-3\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\nDescription: none\n"}) {
		file := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Content != "" {
			if err := os.WriteFile(file, []byte(f.Content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "extra.deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "--build", dir, file).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb (Debian package dpkg): %v: %s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := open(t, content)
	if _, _, err := set.Kernel(); err != nil || set.Packages[0].Name != "extra" || set.Packages[0].Version != "1:2-3" || set.Packages[0].Architecture != "amd64" {
		t.Errorf("%+v, %v", set.Packages, err)
	}
}

func TestNotOneKernel(t *testing.T) {
	files := pkgtest.Kernel(release, "./")
	other := pkgtest.Kernel("6.12.118", "./")
	for want, packages := range map[string][][]byte{
		"files of " + release + " and 6.12.118": {pkgtest.Deb(t, "a", "1", "", files...), pkgtest.Deb(t, "b", "1", "", other...)},
		"none has the kernel " + release:        {pkgtest.Deb(t, "a", "1", "", files[3:]...)},
		"are both there": {pkgtest.Deb(t, "a", "1", "", files...),
			pkgtest.Deb(t, "b", "1", "", pkgtest.File{Name: "./lib/modules/" + release + "/vmlinuz", Content: "another"})},
	} {
		if _, _, err := open(t, packages...).Kernel(); !errors.Is(err, linuxpkg.ErrKernel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestHostilePackagesAreRefused(t *testing.T) {
	at := "./" + kmod.Dir + "/" + release + "/"
	a := pkgtest.File{Name: at + "kernel/a.ko", Content: "a"}
	binary := pkgtest.File{Name: "debian-binary", Content: "2.0\n"}
	control := pkgtest.File{Name: "control.tar", Content: string(pkgtest.Control(t, "linux-image", "1"))}
	data := pkgtest.File{Name: "data.tar", Content: string(pkgtest.Tar(t, a))}
	good := pkgtest.Ar(binary, control, data)
	goodRPM := pkgtest.RPM(t, "kernel", "", a)
	with := func(files ...pkgtest.File) []byte { return pkgtest.Deb(t, "linux-image", "1", "", files...) }
	told := func(text string) []byte {
		return pkgtest.Ar(binary, pkgtest.File{Name: "control.tar", Content: string(pkgtest.Tar(t, pkgtest.File{Name: "control", Content: text}))}, data)
	}
	hugeHeader := bytes.Clone(goodRPM)
	copy(hugeHeader[96+12:], "\xff\xff\xff\xff")
	badName := bytes.Replace(goodRPM, []byte("kernel\x00"), []byte("ker\x1bel\x00"), 1)
	for name, content := range map[string][]byte{
		"empty":                    nil,
		"neither":                  []byte("PK\x03\x04 and more of it"),
		"no data.tar":              pkgtest.Ar(binary, control),
		"no control.tar":           pkgtest.Ar(binary, data),
		"no debian-binary":         pkgtest.Ar(control, data),
		"another format":           pkgtest.Ar(pkgtest.File{Name: "debian-binary", Content: "3.0\n"}, control, data),
		"two data.tar":             pkgtest.Ar(binary, control, data, data),
		"members in another order": pkgtest.Ar(binary, data, control),
		"ar without end":           bytes.Replace(good, []byte("`\n"), []byte("xx"), 1),
		"ar with sign":             bytes.Replace(good, []byte("100644  "), []byte("100644  -"), 1),
		"nothing of a kernel":      with(pkgtest.File{Name: "./usr/bin/true", Content: "x"}),
		"release of odd letters":   with(pkgtest.File{Name: "./lib/modules/6.1 2/a.ko", Content: "x"}),
		"path that leads up":       with(a, pkgtest.File{Name: at + "../../../../evil.ko", Content: "x"}),
		"other path that leads up": with(a, pkgtest.File{Name: "./usr/../../etc/passwd", Content: "x"}),
		"long name":                with(a, pkgtest.File{Name: at + strings.Repeat("a/", 1000) + "a.ko", Content: "x"}),
		"directory that leads up":  with(a, pkgtest.File{Name: "./../evil/"}),
		"link in a module's place": with(a, pkgtest.File{Name: at + "kernel/b.ko", Target: "/etc/shadow"}),
		"link on the way":          with(pkgtest.File{Name: at + "kernel", Target: "/tmp"}, a),
		"link of all modules":      with(a, pkgtest.File{Name: "./lib/modules", Target: "/tmp"}),
		"twice":                    with(a, a),
		"once below usr as well":   with(a, pkgtest.File{Name: "./usr/lib/modules/" + release + "/kernel/a.ko", Content: "b"}),
		"file in the way":          with(a, pkgtest.File{Name: at + "kernel/a.ko/b.ko", Content: "x"}),
		"damaged":                  pkgtest.Ar(binary, control, pkgtest.File{Name: "data.tar.xz", Content: "\xfd7zXZ\x00 no"}),
		"control twice":            pkgtest.Ar(binary, pkgtest.File{Name: "control.tar", Content: string(pkgtest.Tar(t, pkgtest.File{Name: "control"}, pkgtest.File{Name: "./control"}))}, data),
		"name twice":               told("Package: a\nPackage: b\nVersion: 1\nArchitecture: amd64\n"),
		"no version":               told("Package: a\nArchitecture: amd64\n"),
		"name with an escape":      told("Package: a\x1b[2J\nVersion: 1\nArchitecture: amd64\n"),
		"huge control":             told(strings.Repeat("A: b\n", 1<<20)),
		"cut behind a file":        good[:len(good)-1024],
		"cut deb":                  good[:len(good)-2000],
		"cut rpm":                  goodRPM[:len(goodRPM)-200],
		"lead only":                goodRPM[:96],
		"huge header":              hugeHeader,
		"rpm with an escape":       badName,
		"rpm with a link":          pkgtest.RPM(t, "kernel", "", a, pkgtest.File{Name: at + "kernel/b.ko", Target: "/etc/shadow"}),
		"rpm that leads up":        pkgtest.RPM(t, "kernel", "", a, pkgtest.File{Name: "../evil.ko", Content: "x"}),
	} {
		dir := t.TempDir()
		_, err := linuxpkg.Open(dir, write(t, content))
		if !errors.Is(err, linuxpkg.ErrPackage) {
			t.Errorf("%s: got %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := linuxpkg.Open("", linuxpkg.Source{Path: filepath.Join(t.TempDir(), "absent")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	signed := pkgtest.Ar(binary, control, data, pkgtest.File{Name: "_gpgbuilder", Content: "odd"})
	if set := open(t, signed); !slices.Equal(set.Releases, []string{release}) {
		t.Errorf("with a builder's signature: %q", set.Releases)
	}
}

// Two packages have no file in common, and each has the hash that it was named by.
func TestSetsAreUnambiguous(t *testing.T) {
	files := pkgtest.Kernel(release, "./")
	first, second := write(t, pkgtest.Deb(t, "a", "1", "", files...)), write(t, pkgtest.Deb(t, "b", "1", "", files[len(files)-1]))
	if _, err := linuxpkg.Open(t.TempDir(), first, second); !errors.Is(err, linuxpkg.ErrPackage) {
		t.Errorf("a module of two packages: %v", err)
	}
	second.SHA256 = strings.Repeat("0", 64)
	if _, err := linuxpkg.Open(t.TempDir(), second); !errors.Is(err, linuxpkg.ErrPackage) || !strings.Contains(err.Error(), "its SHA-256 is") {
		t.Errorf("another hash: %v", err)
	}
	set := open(t, pkgtest.Deb(t, "a", "1", "", files...))
	first.SHA256 = set.Packages[0].SHA256
	if again, err := linuxpkg.Open(t.TempDir(), first); err != nil || again.Close() != nil {
		t.Errorf("its own hash: %v", err)
	}
}

func FuzzPackage(f *testing.F) {
	files := pkgtest.Kernel(release, "./")
	f.Add(pkgtest.Deb(f, "linux-image", "1", "", files...))
	f.Add(pkgtest.Deb(f, "linux-image", "1", ".xz", files[:3]...))
	f.Add(pkgtest.RPM(f, "kernel", ".gz", files...))
	f.Fuzz(func(t *testing.T, content []byte) {
		set, err := linuxpkg.Open(t.TempDir(), write(t, content))
		if err != nil {
			if !errors.Is(err, linuxpkg.ErrPackage) {
				t.Errorf("got %v", err)
			}
			return
		}
		defer set.Close() //nolint:errcheck // the directory goes with the test
		if len(set.Releases) == 0 || !slices.ContainsFunc(set.Releases, func(r string) bool {
			_, modules := fs.Stat(set.FS, path.Join(kmod.Dir, r))
			_, kernel := fs.Stat(set.FS, "boot/vmlinuz-"+r)
			_, config := fs.Stat(set.FS, "boot/config-"+r)
			return modules == nil || kernel == nil || config == nil
		}) {
			t.Errorf("releases %q", set.Releases)
		}
	})
}
