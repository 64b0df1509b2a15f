package kmod_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

type named struct{ name, content string }

func tarOf(tb testing.TB, files ...named) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644}); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func deb(members ...named) []byte {
	b := []byte("!<arch>\n")
	for _, m := range members {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", m.name, 0, 0, 0, "100644", len(m.content), m.content)
		if len(m.content)%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func rpm(tb testing.TB, suffix string, files ...named) []byte {
	tb.Helper()
	var payload bytes.Buffer
	w := cpio.NewWriter(&payload)
	for _, f := range files {
		mode := uint32(cpio.ModeRegular | 0o644)
		if strings.HasSuffix(f.name, "/") {
			mode = cpio.ModeDir | 0o755
		}
		if err := w.Add(cpio.Header{Name: strings.TrimSuffix(f.name, "/"), Mode: mode}, []byte(f.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	header := func(entries, size uint32) []byte {
		b := []byte("\x8e\xad\xe8\x01\x00\x00\x00\x00")
		b = binary.BigEndian.AppendUint32(b, entries)
		b = binary.BigEndian.AppendUint32(b, size)
		return append(b, make([]byte, entries*16+size)...)
	}
	return slices.Concat([]byte("\xed\xab\xee\xdb"), make([]byte, 92), header(2, 5), make([]byte, 3), header(3, 7), pack(tb, suffix, payload.Bytes()))
}

func writePackage(tb testing.TB, content []byte) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "package")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		tb.Fatal(err)
	}
	return file
}

func openPackage(t *testing.T, content []byte) *kmod.Package {
	t.Helper()
	p, err := kmod.OpenPackage(writePackage(t, content), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ubuntu's packages: what is in the image lacks what linux-modules-extra has.
const (
	sevGuestFile = "kernel/drivers/virt/coco/sev-guest/sev-guest.ko"
	tsmFile      = "kernel/drivers/virt/coco/tsm.ko"
)

func extra(tb testing.TB, prefix string) []named {
	tb.Helper()
	at := prefix + kmod.Dir + "/" + release + "/"
	return []named{
		{at + sevGuestFile + ".zst", string(pack(tb, ".zst", built("sev_guest", "tsm")))},
		{at + tsmFile + ".zst", string(pack(tb, ".zst", built("tsm", "configfs")))},
		{prefix + "etc/shadow", "root::0:0:::::"},
		{prefix + kmod.Dir + "/../../../../evil.ko", "no"},
		{at + "kernel/", ""}, // a directory, as packages list them
	}
}

func TestPackageIsLaidOver(t *testing.T) {
	for name, content := range map[string][]byte{
		"deb, xz":    deb(named{"debian-binary", "2.0\n"}, named{"control.tar.xz", "odd"}, named{"data.tar.xz", string(pack(t, ".xz", tarOf(t, extra(t, "./")...)))}),
		"deb, zst":   deb(named{"debian-binary", "2.0\n"}, named{"data.tar.zst", string(pack(t, ".zst", tarOf(t, extra(t, "./usr/")...)))}),
		"deb, gz":    deb(named{"data.tar.gz/", string(pack(t, ".gz", tarOf(t, extra(t, "/")...)))}),
		"deb, plain": deb(named{"data.tar", string(tarOf(t, extra(t, "")...))}),
		"rpm, zst":   rpm(t, ".zst", extra(t, "./")...),
		"rpm, xz":    rpm(t, ".xz", extra(t, "./usr/")...),
	} {
		t.Run(name, func(t *testing.T) {
			root := debian(t)
			delete(root, path.Join(kmod.Dir, release, sevGuestFile))
			delete(root, path.Join(kmod.Dir, release, tsmFile))
			if missing := open(t, root).Missing(kmod.ForAgent()); missing == nil || !slices.Equal(missing.Names, []string{"sev_guest"}) {
				t.Fatalf("without the package: %v", missing)
			}
			p := openPackage(t, content)
			if !slices.Equal(p.Releases, []string{release}) {
				t.Errorf("releases %q", p.Releases)
			}
			c, err := open(t, root, p.FS).Closure(kmod.ForAgent())
			if err != nil {
				t.Fatal(err)
			}
			order := loaded(c)
			configfs, tsm, guest := slices.Index(order, "configfs"), slices.Index(order, "tsm"), slices.Index(order, "sev_guest")
			if configfs < 0 || tsm < configfs || guest < tsm {
				t.Errorf("load order %v", order)
			}
			onlyModules(t, p.FS)
		})
	}
}

func onlyModules(t *testing.T, fsys fs.FS) {
	t.Helper()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(name, kmod.Dir+"/"+release+"/kernel/drivers/virt/") {
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
	for _, f := range append(extra(t, "./usr/")[:2], named{"./DEBIAN/control", "Package: extra\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\nDescription: none\n"}) {
		file := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(f.content), 0o644); err != nil {
			t.Fatal(err)
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
	if tree := open(t, fstest.MapFS{}, openPackage(t, content).FS); tree.State("sev-guest") != kmod.Loadable || tree.State("tsm") != kmod.Loadable {
		t.Error("its modules are not there")
	}
}

func TestBrokenPackagesAreRefused(t *testing.T) {
	goodDeb := deb(named{"data.tar", string(tarOf(t, extra(t, "./")...))})
	goodRPM := rpm(t, "", extra(t, "./")...)
	huge := bytes.Clone(goodRPM)
	copy(huge[96+8:], "\xff\xff\xff\xff")
	twice := extra(t, "./")[:1]
	for name, content := range map[string][]byte{
		"empty":             nil,
		"neither":           []byte("PK\x03\x04 and more of it"),
		"no data.tar":       deb(named{"debian-binary", "2.0\n"}),
		"ar without end":    bytes.Replace(goodDeb, []byte("`\n"), []byte("xx"), 1),
		"ar with sign":      bytes.Replace(goodDeb, []byte("100644  "), []byte("100644  -"), 1),
		"no modules":        deb(named{"data.tar", string(tarOf(t, named{"./usr/bin/true", ""}))}),
		"modules elsewhere": deb(named{"data.tar", string(tarOf(t, named{"./lib/modules/../../x/a.ko", ""}, named{"./lib/modules/6.1 2/a.ko", ""}, named{"./lib/modules/modules.dep", ""}))}),
		"twice":             deb(named{"data.tar", string(tarOf(t, append(twice, twice...)...))}),
		"file in the way":   deb(named{"data.tar", string(tarOf(t, named{"./lib/modules/6.1/a.ko", ""}, named{"./lib/modules/6.1/a.ko/b.ko", ""}))}),
		"damaged":           deb(named{"data.tar.xz", "\xfd7zXZ\x00 no"}),
		"cut behind a file": goodDeb[:len(goodDeb)-1024],
		"cut deb":           goodDeb[:len(goodDeb)-2000],
		"cut rpm":           goodRPM[:len(goodRPM)-200],
		"lead only":         goodRPM[:96],
		"huge header":       huge,
	} {
		dir := t.TempDir()
		_, err := kmod.OpenPackage(writePackage(t, content), dir)
		if !errors.Is(err, kmod.ErrPackage) {
			t.Errorf("%s: got %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := kmod.OpenPackage(filepath.Join(t.TempDir(), "absent"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
