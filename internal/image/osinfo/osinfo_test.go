package osinfo_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content), Mode: 0o644} }

// bzImage has a setup header and nothing else.
func bzImage(release string) *fstest.MapFile {
	b := make([]byte, 0x400)
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x20E:], 0x100)
	copy(b[0x300:], release+" (builder@host) #1 SMP\x00")
	return file(string(b))
}

const capableConfig = "CONFIG_AMD_MEM_ENCRYPT=y\nCONFIG_SEV_GUEST=m\nCONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n# CONFIG_TSM_REPORTS is not set\n"

// install puts a kernel with its modules where Debian has them.
func install(root, boot fstest.MapFS, release, config string, modules ...string) {
	prefix := ""
	if _, inside := root["boot/grub/grub.cfg"]; inside {
		prefix = "boot/"
	}
	boot[prefix+"vmlinuz-"+release] = bzImage(release)
	boot[prefix+"initrd.img-"+release] = file("x")
	boot[prefix+"config-"+release] = file(config)
	dir := path.Join("lib/modules", release)
	var dep strings.Builder
	for _, m := range modules {
		fmt.Fprintf(&dep, "kernel/%s.ko:\n", m)
		root[path.Join(dir, "kernel", m+".ko")] = file("")
	}
	root[path.Join(dir, "modules.dep")] = file(dep.String())
	root[path.Join(dir, "modules.builtin")] = file("kernel/crypto/aes_generic.ko\n")
}

func capable() []string { return []string{"dm-mod", "dm-crypt", "xts", "sev-guest", "aesni-intel"} }

func menu(prefix string, releases ...string) *fstest.MapFile {
	var b strings.Builder
	for _, r := range releases {
		fmt.Fprintf(&b, "menuentry '%s' { linux %svmlinuz-%s root=x ro; initrd %sinitrd.img-%s; }\n", r, prefix, r, prefix, r)
	}
	return file(b.String())
}

func debian(releases ...string) fstest.MapFS {
	root := fstest.MapFS{
		"etc/os-release":     file("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n# comment\n"),
		"boot/grub/grub.cfg": menu("/boot/", releases...),
	}
	for _, r := range releases {
		install(root, root, r, capableConfig, capable()...)
	}
	return root
}

// TestInitrdBesideKernel has an entry that loads no initrd, and one beside its
// kernel.
func TestInitrdBesideKernel(t *testing.T) {
	root := debian("6.12.1")
	root["boot/grub/grub.cfg"] = file("menuentry 'a' { linux /boot/vmlinuz-6.12.1 ro; }\nmenuentry 'b' { linux /boot/vmlinuz-6.12.2 ro; }\n")
	found := scan(t, osinfo.Input{Root: root})
	if len(found.Entries) != 2 || strings.Join(found.Entries[0].Initrds, " ") != "/boot/initrd.img-6.12.1" || len(found.Entries[1].Initrds) > 0 {
		t.Errorf("%+v", found.Entries)
	}
}

func scan(tb testing.TB, in osinfo.Input) *osinfo.OS {
	tb.Helper()
	found, err := osinfo.Scan(in)
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func feature(k osinfo.Kernel, name string) string {
	for _, f := range k.Features {
		if f.Name == name {
			return f.State
		}
	}
	return ""
}

func TestDebian(t *testing.T) {
	in := osinfo.Input{Root: debian("6.12.1-cloud-amd64")}
	found := scan(t, in)
	if found.ID != "debian" || found.Name != "Debian GNU/Linux 13 (trixie)" || len(found.Kernels) != 1 || len(found.Entries) != 1 {
		t.Fatalf("%+v", found)
	}
	k := found.Kernels[0]
	if !k.Capable() || k.Release != "6.12.1-cloud-amd64" || k.Compression != decompress.Zstd || k.File != (osinfo.File{Path: "boot/vmlinuz-6.12.1-cloud-amd64"}) {
		t.Errorf("%+v", k)
	}
	for name, want := range map[string]string{
		"CONFIG_AMD_MEM_ENCRYPT": "y", "CONFIG_SEV_GUEST": "m", "CONFIG_TSM_REPORTS": "n",
		"dm_crypt": "module", "aes_generic": "built in", "virtio_blk": "absent",
	} {
		if got := feature(k, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	c, err := found.Choose(in, "")
	if err != nil || c.Kernel.Release != k.Release || !c.Entry.Default {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(fstest.MapFS)
		release string
		want    string
	}{
		"the default":             {func(fstest.MapFS) {}, "", "6.1.9"},
		"on request":              {func(fstest.MapFS) {}, "6.1.10", "6.1.10"},
		"newest, not the default": {func(r fstest.MapFS) { delete(r, "lib/modules/6.1.9/kernel/sev-guest.ko") }, "", "6.1.10"},
		"without encryption":      {func(r fstest.MapFS) { r["boot/config-6.1.9"] = file("CONFIG_SEV_GUEST=m\n") }, "", "6.1.10"},
		"without file":            {func(r fstest.MapFS) { delete(r, "boot/vmlinuz-6.1.9") }, "", "6.1.10"},
		"without modules": {func(r fstest.MapFS) {
			delete(r, "lib/modules/6.1.9/modules.dep")
			delete(r, "lib/modules/6.1.9/modules.builtin")
		}, "", "6.1.10"},
		"without configuration": {func(r fstest.MapFS) { delete(r, "boot/config-6.1.9") }, "", "6.1.9"},
	} {
		root := debian("6.1.9", "6.1.2", "6.1.10")
		test.change(root)
		in := osinfo.Input{Root: root}
		c, err := scan(t, in).Choose(in, test.release)
		if err != nil || c.Kernel.Release != test.want || !strings.HasSuffix(c.Entry.Kernel, test.want) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestNoKernel(t *testing.T) {
	root := debian("6.1.9", "5.4.0")
	delete(root, "lib/modules/6.1.9/kernel/dm-crypt.ko")
	root["boot/config-5.4.0"] = file("")
	in := osinfo.Input{Root: root}
	_, err := scan(t, in).Choose(in, "")
	if !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), "6.1.9: dm_crypt is neither") || !strings.Contains(err.Error(), "5.4.0: CONFIG_AMD_MEM_ENCRYPT is not set") {
		t.Errorf("got %v", err)
	}
	in = osinfo.Input{Root: debian("6.1.9")}
	if _, err := scan(t, in).Choose(in, "9.9"); !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), `"9.9"; seen: 6.1.9`) {
		t.Errorf("another release: %v", err)
	}
	in = osinfo.Input{Root: fstest.MapFS{}}
	if _, err := scan(t, in).Choose(in, ""); !errors.Is(err, osinfo.ErrNoKernel) {
		t.Errorf("nothing: %v", err)
	}
	in = osinfo.Input{Root: debian("6.1.9")}
	found := scan(t, in)
	in.Boot = fstest.MapFS{"boot/vmlinuz-6.1.9": bzImage("6.1.9")}
	if _, err := found.Choose(in, ""); !errors.Is(err, osinfo.ErrNoKernel) || len(found.Candidates(in)) != 0 {
		t.Errorf("a kernel that was not scanned: %v", err)
	}
	root = debian("6.1.9")
	root["boot/vmlinuz-6.1.9"] = file("MZ")
	in = osinfo.Input{Root: root}
	if _, err := scan(t, in).Choose(in, ""); !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), "seen: vmlinuz-6.1.9: it cannot be read") {
		t.Errorf("unreadable: %v", err)
	}
	delete(root, "boot/vmlinuz-6.1.9")
	if _, err := scan(t, in).Choose(in, ""); !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), "seen: vmlinuz-6.1.9: the file is not there") {
		t.Errorf("without file: %v", err)
	}
}

// TestModulesWithoutIndex names the file that is missing, and no package.
func TestModulesWithoutIndex(t *testing.T) {
	root := debian("6.12.1")
	root["etc/os-release"] = file("ID=ubuntu\n")
	delete(root, "lib/modules/6.12.1/modules.dep")
	root["lib/modules/6.12.1/kernel/a.ko"] = file("a module")
	in := osinfo.Input{Root: root}
	_, err := scan(t, in).Choose(in, "")
	if !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), "modules.dep is missing") || !strings.Contains(err.Error(), "run depmod -a 6.12.1") || strings.Contains(err.Error(), "linux-modules-extra") {
		t.Errorf("got %v", err)
	}
}

// Ubuntu has a separate /boot, and sev-guest and tsm in a package of their own.
func TestUbuntu(t *testing.T) {
	const release = "6.8.0-45-generic"
	root := fstest.MapFS{
		"usr/lib/os-release": file("ID=ubuntu\nPRETTY_NAME='Ubuntu 24.04'\n"),
		"var/lib/dpkg/status": file("Package: linux-modules-6.8.0-44-generic\nVersion: 6.8.0-44.44\n\n" +
			"Package: linux-modules-6.8.0-45-generic\nStatus: install ok installed\nVersion: 6.8.0-45.45\n"),
	}
	boot := fstest.MapFS{"grub/grub.cfg": menu("/", release)}
	install(root, boot, release, capableConfig, "dm-mod", "dm-crypt", "xts", "aesni-intel")
	in := osinfo.Input{Root: root, Boot: boot}
	found := scan(t, in)
	if k := found.Kernels[0]; !k.File.Boot || k.Package != "linux-modules-extra-6.8.0-45-generic (6.8.0-45.45)" || !slices.Equal(k.Lacks, []string{"sev_guest is neither built in nor a module"}) {
		t.Errorf("%+v", k)
	}
	if _, err := found.Choose(in, ""); !errors.Is(err, osinfo.ErrNoKernel) || !strings.Contains(err.Error(), "linux-modules-extra-6.8.0-45-generic (6.8.0-45.45) with --module-package") {
		t.Errorf("got %v", err)
	}
	in.Packages = append(in.Packages, fstest.MapFS{"lib/modules/" + release + "/kernel/drivers/virt/coco/sev-guest/sev-guest.ko.zst": file("")})
	found = scan(t, in)
	if c, err := found.Choose(in, ""); err != nil || c.Kernel.Package != "" || c.Kernel.Release != release {
		t.Errorf("with the package: %+v, %v", c, err)
	}
}

// /vmlinuz is a link; the kernel itself says its release.
func TestReleaseIsTheKernels(t *testing.T) {
	root := debian("6.1.9")
	root["boot/grub/grub.cfg"] = file("menuentry x { linux /vmlinuz-linux }")
	root["boot/vmlinuz-linux"] = bzImage("6.1.9")
	if k := scan(t, osinfo.Input{Root: root}).Kernels; len(k) != 1 || k[0].Release != "6.1.9" {
		t.Errorf("%+v", k)
	}
	at := func(offset uint16) *fstest.MapFile {
		image := bzImage("6.1.9")
		binary.LittleEndian.PutUint16(image.Data[0x20E:], offset)
		return image
	}
	for name, test := range map[string]struct {
		image *fstest.MapFile
		says  string
	}{
		"short":         {file("MZ"), "no bzImage for x86"},
		"no magic":      {file(strings.Repeat("x", 0x400)), "no bzImage for x86"},
		"no offset":     {at(0), "no version in its setup header"},
		"behind itself": {at(0x200), "no version in its setup header"},
		"escape":        {bzImage("6.1\x1b[2J"), "version"},
		"leads up":      {bzImage("../../etc"), "version"},
		"no release":    {bzImage(""), "version"},
	} {
		root["boot/vmlinuz-linux"] = test.image
		k := scan(t, osinfo.Input{Root: root}).Kernels[0]
		if k.Capable() || !strings.HasPrefix(k.Lacks[0], "it cannot be read: ") || !strings.Contains(k.Lacks[0], test.says) || strings.Contains(k.Lacks[0], "\x1b") {
			t.Errorf("%s: %+v", name, k)
		}
	}
}

func TestFindingsAreThere(t *testing.T) {
	root := debian("6.1.9")
	root["etc/shadow"] = file("root::1::::::\n")
	if found := scan(t, osinfo.Input{Root: root}).Findings; len(found) != 1 || found[0].Code != "empty-password" {
		t.Errorf("%+v", found)
	}
}

func FuzzKernel(f *testing.F) {
	f.Add(bzImage("6.1.9").Data)
	f.Fuzz(func(t *testing.T, image []byte) {
		root := debian("6.1.9")
		root["boot/vmlinuz-6.1.9"] = file(string(image))
		found, err := osinfo.Scan(osinfo.Input{Root: root})
		if err != nil {
			return
		}
		for _, k := range found.Kernels {
			if k.Capable() && k.Release == "" || strings.ContainsAny(k.Release, "/\x00\n\x1b") {
				t.Errorf("release %q", k.Release)
			}
		}
	})
}

// FuzzSystem reads what an image says of itself, as far as a terminal shows it.
func FuzzSystem(f *testing.F) {
	f.Add("ID=ubuntu\nPRETTY_NAME=\"Ubuntu 24.04\"\n", "Package: linux-modules-6.8.0\nVersion: 6.8.0-1\n\n", "CONFIG_AMD_MEM_ENCRYPT=y\n")
	f.Add("ID=ubuntu\nPRETTY_NAME='\x1b[2J'\n", "Package: linux-modules-6.8.0\nVersion: \x1b]0;x\x07\n", capableConfig)
	f.Fuzz(func(t *testing.T, release, status, config string) {
		root := debian("6.8.0")
		root["etc/os-release"], root["var/lib/dpkg/status"], root["boot/config-6.8.0"] = file(release), file(status), file(config)
		found, err := osinfo.Scan(osinfo.Input{Root: root})
		if err != nil {
			if !errors.Is(err, osinfo.ErrMalformed) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		for _, k := range found.Kernels {
			if text := found.ID + found.Name + k.Package; strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q", text)
			}
		}
	})
}

// A menu that runs what is not followed is a warning, and named once.
func TestMenuThatIsNotFollowed(t *testing.T) {
	root := debian("6.12.0-a", "6.13.0-b")
	root["boot/grub/custom.cfg"] = file("set default=1\n")
	root["boot/grub/grub.cfg"].Data = append([]byte("if [ -f $prefix/custom.cfg ]; then source $prefix/custom.cfg; fi\n"), root["boot/grub/grub.cfg"].Data...)
	found, err := osinfo.Scan(osinfo.Input{Root: root})
	if err != nil || len(found.Findings) != 1 || found.Findings[0].Code != "boot-menu-unread" || found.Findings[0].Severity != "warning" || found.Findings[0].Mended ||
		found.Findings[0].Path != "boot/grub/grub.cfg" || !strings.Contains(found.Findings[0].Detail, `source "/boot/grub/custom.cfg"`) {
		t.Errorf("%+v, %v", found, err)
	}
}
