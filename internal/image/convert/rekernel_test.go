package convert

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// TestReleaseOfTheSameKernel converts an image in which a kernel's package is installed,
// as depmod leaves it, and makes a release of the same package: it is the conversion's
// own, to the byte. So what a conversion made can be recomputed as well.
func TestReleaseOfTheSameKernel(t *testing.T) {
	tree := tinyTree(t)
	files := pkgtest.Kernel(tinyRelease, "./")
	for _, f := range files {
		if f.Target == "" && !strings.HasSuffix(f.Name, "/") {
			put(t, tree, f.Name, f.Content)
		}
	}
	if out, err := exec.CommandContext(t.Context(), tool.Path(t, "depmod"), "-b", tree, tinyRelease).CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v: %s", err, out)
	}
	o, _ := tinyOptions(t, tinyImage(t, tree))
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Modules) != 8 {
		t.Fatalf("the conversion took %q", c.Modules)
	}
	converted, err := rekernel.Open(o.Staging, &bundle.Manifest{Image: c.ImageID})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kernel.deb")
	if err := os.WriteFile(file, pkgtest.Deb(t, "linux-image", "1", ".gz", files...), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := linuxpkg.Open(t.TempDir(), linuxpkg.Source{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close() //nolint:errcheck // the directory goes with the test
	kernel, err := rekernel.OfPackages(set, converted.Config)
	if err != nil {
		t.Fatal(err)
	}
	made, err := converted.Write(t.TempDir(), kernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{staging.NameKernel: made.Kernel, staging.NameInitrd: made.Initrd} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(o.Staging, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from the conversion's, %v", name, err)
		}
	}
}
