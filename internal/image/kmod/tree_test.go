package kmod_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

const release = "6.12.117+deb13-cloud-amd64"

// built is a module as the kernel's build makes it.
func built(name, depends string, more ...string) []byte {
	return module(append([]string{"license=GPL", "depends=" + depends, "name=" + name, "vermagic=" + release + " SMP preempt mod_unload "}, more...)...)
}

func pack(tb testing.TB, suffix string, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	default:
		return content
	}
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// debian is shaped after the tree of Debian's cloud kernel.
func debian(tb testing.TB) fstest.MapFS {
	tb.Helper()
	root := fstest.MapFS{}
	var dep strings.Builder
	for _, m := range []struct{ file, name, depends, all, soft string }{
		{"kernel/drivers/md/dm-mod.ko.xz", "dm_mod", "", "", ""},
		{"kernel/drivers/md/dm-crypt.ko.xz", "dm_crypt", "dm-mod", "kernel/drivers/md/dm-mod.ko.xz", ""},
		{"kernel/crypto/xts.ko.zst", "xts", "", "", "softdep=pre: crypto-ecb post: late"},
		{"kernel/crypto/ecb.ko", "ecb", "", "", ""},
		{"kernel/crypto/cryptd.ko.gz", "cryptd", "", "", ""},
		{"kernel/crypto/crypto_simd.ko.xz", "crypto_simd", "cryptd", "kernel/crypto/cryptd.ko.gz", ""},
		{"kernel/lib/crypto/gf128mul.ko", "gf128mul", "", "", ""},
		{"kernel/arch/x86/crypto/aesni-intel.ko.xz", "aesni_intel", "crypto_simd,gf128mul", "kernel/lib/crypto/gf128mul.ko kernel/crypto/crypto_simd.ko.xz kernel/crypto/cryptd.ko.gz", ""},
		{"kernel/fs/configfs/configfs.ko", "configfs", "", "", ""},
		{"kernel/drivers/virt/coco/tsm.ko", "tsm", "configfs", "kernel/fs/configfs/configfs.ko", ""},
		{"kernel/drivers/virt/coco/sev-guest/sev-guest.ko", "sev_guest", "tsm", "kernel/drivers/virt/coco/tsm.ko kernel/fs/configfs/configfs.ko", ""},
		{"kernel/net/core/failover.ko", "failover", "", "", ""},
		{"kernel/drivers/net/net_failover.ko", "net_failover", "failover", "kernel/net/core/failover.ko", ""},
		{"kernel/drivers/net/virtio_net.ko", "virtio_net", "net_failover", "kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko", ""},
		{"kernel/drivers/char/hw_random/virtio-rng.ko", "virtio_rng", "", "", ""},
	} {
		fmt.Fprintf(&dep, "%s: %s\n", m.file, m.all)
		suffix := path.Ext(m.file)
		put(root, m.file, pack(tb, suffix, built(m.name, m.depends, m.soft)))
	}
	put(root, "modules.dep", []byte(dep.String()))
	put(root, "modules.alias", []byte("# Aliases\nalias pci:v0*sv* virtio_pci\nalias crypto-ecb ecb\n"))
	put(root, "modules.builtin", []byte("kernel/crypto/aes_generic.ko\nkernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/nvme/host/nvme.ko\n"))
	return root
}

func put(root fstest.MapFS, file string, content []byte) {
	root[path.Join(kmod.Dir, release, file)] = &fstest.MapFile{Data: content, Mode: 0o644}
}

func open(tb testing.TB, root fs.FS, packages ...fs.FS) *kmod.Tree {
	tb.Helper()
	t, err := kmod.Open(root, release, packages...)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func loaded(c *kmod.Closure) (names []string) {
	for _, m := range c.Modules {
		names = append(names, m.Name)
	}
	return names
}

func TestClosure(t *testing.T) {
	c, err := open(t, debian(t)).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dm_mod", "dm_crypt", "ecb", "xts", "cryptd", "crypto_simd", "gf128mul", "aesni_intel", "configfs",
		"tsm", "sev_guest", "failover", "net_failover", "virtio_net", "virtio_rng"}
	if got := loaded(c); !slices.Equal(got, want) {
		t.Errorf("load order\n%v, want\n%v", got, want)
	}
	if want := []string{"aes_generic", "virtio_pci", "nvme"}; !slices.Equal(c.Builtin, want) {
		t.Errorf("built in: %v, want %v", c.Builtin, want)
	}
	if want := []string{"tsm_report", "virtio_blk", "virtio_scsi", "sd_mod", "gve", "ena", "virtio_console"}; !slices.Equal(c.Absent, want) {
		t.Errorf("absent: %v, want %v", c.Absent, want)
	}
	for _, m := range c.Modules {
		info, err := kmod.ParseModinfo(m.Data)
		if err != nil || info.Name != m.Name {
			t.Errorf("%s is not decompressed: %+v, %v", m.Name, info, err)
		}
	}
}

func TestWhatIsRequired(t *testing.T) {
	for name, test := range map[string]struct {
		remove []string
		want   string
	}{
		"dm-crypt":  {[]string{"kernel/drivers/md/dm-crypt.ko.xz"}, "dm_crypt"},
		"dm-mod":    {[]string{"kernel/drivers/md/dm-mod.ko.xz"}, "dm_mod"},
		"xts":       {[]string{"kernel/crypto/xts.ko.zst"}, "xts"},
		"sev-guest": {[]string{"kernel/drivers/virt/coco/sev-guest/sev-guest.ko"}, "sev_guest"},
		"AES":       {[]string{"kernel/arch/x86/crypto/aesni-intel.ko.xz", "modules.builtin"}, "aesni_intel or aes_generic"},
		"two":       {[]string{"kernel/drivers/md/dm-mod.ko.xz", "kernel/crypto/xts.ko.zst"}, "dm_mod, xts"},
	} {
		root := debian(t)
		for _, file := range test.remove {
			delete(root, path.Join(kmod.Dir, release, file))
		}
		_, err := open(t, root).Closure(kmod.ForAgent())
		var missing *kmod.MissingError
		if !errors.As(err, &missing) || !strings.HasSuffix(err.Error(), ": "+test.want) || missing.Release != release {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, remove := range map[string]string{
		"AES by the processor": "kernel/arch/x86/crypto/aesni-intel.ko.xz",
		"AES in software":      "modules.builtin",
		"random numbers":       "kernel/drivers/char/hw_random/virtio-rng.ko",
		"a soft dependency":    "kernel/crypto/ecb.ko",
	} {
		root := debian(t)
		delete(root, path.Join(kmod.Dir, release, remove))
		if _, err := open(t, root).Closure(kmod.ForAgent()); err != nil {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestBrokenTreesAreRefused(t *testing.T) {
	const dmMod = "kernel/drivers/md/dm-mod.ko.xz"
	for name, test := range map[string]struct {
		file    string
		content []byte
		want    error
		says    string
	}{
		"circle":            {dmMod, built("dm_mod", "dm-crypt"), kmod.ErrCycle, "dm_mod needs dm_crypt needs dm_mod"},
		"needs itself":      {dmMod, built("dm_mod", "dm_mod"), kmod.ErrCycle, "dm_mod needs dm_mod"},
		"absent dependency": {dmMod, built("dm_mod", "gone"), kmod.ErrMalformed, "gone is absent, and dm_mod needs it"},
		"leads elsewhere":   {dmMod, built("dm_mod", "../../etc/shadow"), kmod.ErrMalformed, "../../etc/shadow"},
		"another release":   {dmMod, module("name=dm_mod", "vermagic=5.10 SMP"), kmod.ErrMalformed, "5.10"},
		"another name":      {dmMod, built("rootkit", ""), kmod.ErrMalformed, "rootkit"},
		"no ELF":            {dmMod, []byte("#!/bin/sh"), kmod.ErrMalformed, dmMod},
		"damaged":           {dmMod, []byte("\xfd7zXZ\x00 no"), kmod.ErrMalformed, dmMod},
		"a bomb":            {dmMod, pack(t, ".zst", make([]byte, 64<<20+1)), kmod.ErrMalformed, "too large"},
	} {
		root := debian(t)
		put(root, test.file, test.content)
		_, err := open(t, root).Closure(kmod.ForAgent())
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// modules.dep may know more than .modinfo does; both count.
func TestModulesDepCounts(t *testing.T) {
	root := debian(t)
	dep := root[path.Join(kmod.Dir, release, "modules.dep")]
	dep.Data = bytes.Replace(dep.Data, []byte("dm-mod.ko.xz: \n"), []byte("dm-mod.ko.xz: kernel/crypto/cryptd.ko.gz\n"), 1)
	c, err := open(t, root).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded(c); got[0] != "cryptd" || got[1] != "dm_mod" {
		t.Errorf("load order %v", got)
	}
}

// Soft dependencies may form circles that hard ones must not.
func TestSoftCirclesAreCut(t *testing.T) {
	root := debian(t)
	put(root, "kernel/crypto/ecb.ko", built("ecb", "xts"))
	c, err := open(t, root).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	if x, e := slices.Index(loaded(c), "xts"), slices.Index(loaded(c), "ecb"); x < 0 || e < x {
		t.Errorf("load order %v", loaded(c))
	}
}

// What a soft dependency needs may come by two ways, but in no circle.
func TestWhatSoftDependenciesNeed(t *testing.T) {
	root := debian(t)
	put(root, "kernel/crypto/ecb.ko", built("ecb", "cryptd,crypto_simd,aes_generic"))
	c, err := open(t, root).Closure(kmod.ForAgent())
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded(c)[2:6]; !slices.Equal(got, []string{"cryptd", "crypto_simd", "ecb", "xts"}) {
		t.Errorf("load order %v", loaded(c))
	}
	put(root, "kernel/crypto/cryptd.ko.gz", pack(t, ".gz", built("cryptd", "ecb")))
	if _, err := open(t, root).Closure(kmod.ForAgent()); !errors.Is(err, kmod.ErrCycle) {
		t.Errorf("a circle: %v", err)
	}
}

func TestClosuresAreBounded(t *testing.T) {
	root, dep, names := debian(t), path.Join(kmod.Dir, release, "modules.dep"), []string{}
	for n := range 512 {
		name := fmt.Sprintf("m%d", n)
		put(root, name+".ko", built(name, ""))
		root[dep].Data = fmt.Appendf(root[dep].Data, "%s.ko:\n", name)
		names = append(names, name)
	}
	put(root, "kernel/drivers/md/dm-mod.ko.xz", built("dm_mod", strings.Join(names, ",")))
	if _, err := open(t, root).Closure(kmod.ForAgent()); !errors.Is(err, kmod.ErrMalformed) || !strings.Contains(err.Error(), "more than 512 files") {
		t.Errorf("got %v", err)
	}
}

// unlistable is a package whose directories cannot be read.
type unlistable struct{ fstest.MapFS }

func (unlistable) ReadDir(string) ([]fs.DirEntry, error) { return nil, fs.ErrPermission }

func TestPackagesThatDoNotFit(t *testing.T) {
	other := fstest.MapFS{path.Join(kmod.Dir, "5.10", sevGuestFile): {}}
	if tree := open(t, debian(t), other); tree.State("sev-guest") != kmod.Loadable {
		t.Error("a package of another release counts")
	}
	if _, err := kmod.Open(debian(t), release, unlistable{debian(t)}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a package that cannot be listed: %v", err)
	}
}

func TestBrokenIndexesAreRefused(t *testing.T) {
	for name, content := range map[string]string{
		"no colon":       "kernel/fs/ext4/ext4.ko\n",
		"leads up":       "../../../etc/shadow.ko:\n",
		"absolute":       "/etc/passwd.ko:\n",
		"no module":      "kernel/fs/ext4:\n",
		"dependency":     "kernel/fs/ext4/ext4.ko: ../jbd2.ko\n",
		"strange name":   "kernel/fs/ext4/ext4\x01.ko:\n",
		"more than 16 M": strings.Repeat("# comment line\n", 16<<20/15+1),
	} {
		root := fstest.MapFS{}
		put(root, "modules.dep", []byte(content))
		if _, err := kmod.Open(root, release); !errors.Is(err, kmod.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, r := range []string{"", ".", "..", "a/b", "../x", "a\nb", strings.Repeat("a", 65)} {
		if _, err := kmod.Open(debian(t), r); !errors.Is(err, kmod.ErrMalformed) {
			t.Errorf("release %.10q: got %v", r, err)
		}
	}
	if _, err := kmod.Open(fstest.MapFS{}, release); !errors.Is(err, kmod.ErrNoTree) {
		t.Errorf("an image without modules: %v", err)
	}
}

// TestModulesWithoutIndex says what is missing and what to do; a kernel without any
// modules needs no index.
func TestModulesWithoutIndex(t *testing.T) {
	root := debian(t)
	delete(root, kmod.Dir+"/"+release+"/modules.dep")
	_, err := kmod.Open(root, release)
	if !errors.Is(err, kmod.ErrNoIndex) || !strings.Contains(err.Error(), "modules.dep is missing") || !strings.Contains(err.Error(), "depmod -a "+release) {
		t.Errorf("got %v", err)
	}
	builtin := fstest.MapFS{kmod.Dir + "/" + release + "/modules.builtin": {Data: []byte("kernel/dm-crypt.ko\n")}}
	if tree, err := kmod.Open(builtin, release); err != nil || tree.State("dm_crypt") != kmod.Builtin {
		t.Errorf("nothing but what is built in: %v", err)
	}
}
