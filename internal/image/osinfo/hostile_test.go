package osinfo_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
)

// locked is an image with a file that cannot be opened.
type locked struct {
	fstest.MapFS
	name string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, fs.ErrPermission
	}
	return l.MapFS.Open(name)
}

// TestImagesThatAreRefused has systems of which nothing can be said.
func TestImagesThatAreRefused(t *testing.T) {
	var crowd strings.Builder
	for n := range 65 {
		fmt.Fprintf(&crowd, "menuentry '%d' { linux /k%d; }\n", n, n)
	}
	const status = "var/lib/dpkg/status"
	for name, test := range map[string]struct {
		change func(fstest.MapFS)
		locked string
		want   error
		says   string
	}{
		"huge os-release":        {func(r fstest.MapFS) { r["etc/os-release"] = file(strings.Repeat("#", 64<<10+1)) }, "", osinfo.ErrMalformed, "etc/os-release has more than 64 KiB"},
		"os-release a directory": {func(r fstest.MapFS) { delete(r, "etc/os-release"); r["etc/os-release/x"] = file("") }, "", osinfo.ErrMalformed, "etc/os-release is not a regular file"},
		"a line of a MiB":        {func(r fstest.MapFS) { r[status] = file(strings.Repeat("x", 1<<20)) }, "", osinfo.ErrMalformed, "dpkg's database"},
		"locked database":        {func(fstest.MapFS) {}, status, fs.ErrPermission, "open dpkg's database"},
		"locked kernel":          {func(fstest.MapFS) {}, "boot/vmlinuz-6.1.9", fs.ErrPermission, "open boot/vmlinuz-6.1.9"},
		"65 kernels": {func(r fstest.MapFS) {
			r["boot/grub/grub.cfg"] = file(crowd.String())
			for n := range 65 {
				r[fmt.Sprintf("boot/k%d", n)] = file("")
			}
		}, "", osinfo.ErrMalformed, "more than 64 kernels"},
	} {
		root := debian("6.1.9")
		root["etc/os-release"] = file("ID=ubuntu\n")
		delete(root, "lib/modules/6.1.9/kernel/sev-guest.ko") // so that a package is looked for
		test.change(root)
		_, err := osinfo.Scan(osinfo.Input{Root: locked{root, test.locked}})
		if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUbuntuWithoutDatabase names the package all the same.
func TestUbuntuWithoutDatabase(t *testing.T) {
	root := debian("6.1.9")
	root["etc/os-release"] = file("ID=ubuntu\n")
	delete(root, "lib/modules/6.1.9/kernel/sev-guest.ko")
	if k := scan(t, osinfo.Input{Root: root}).Kernels[0]; k.Package != "linux-modules-extra-6.1.9" {
		t.Errorf("%+v", k)
	}
}

// TestConfigurationThatIsNone makes a kernel one that cannot be judged.
func TestConfigurationThatIsNone(t *testing.T) {
	root := debian("6.1.9")
	delete(root, "boot/config-6.1.9")
	root["boot/config-6.1.9/x"] = file("")
	if k := scan(t, osinfo.Input{Root: root}).Kernels[0]; k.Capable() || !strings.Contains(k.Lacks[0], "config-6.1.9 is not a regular file") {
		t.Errorf("%+v", k)
	}
}
