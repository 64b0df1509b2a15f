package rekernel_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/linuxpkg/pkgtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rekernel"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// noise is bytes that compress to three quarters or so, as programs do by halves.
func noise(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.Uint32() % 96)
	}
	return b
}

// debianKernel is shaped after Debian's cloud kernel: 12 MiB, and 1,100 modules that are
// compressed one by one; in a data.tar.zst, as Ubuntu has it, since decompressing xz takes
// so long that nothing else would show.
func debianKernel(b *testing.B) (file string) {
	b.Helper()
	files := pkgtest.Kernel(second, "./")
	image := noise(1, 12<<20)
	copy(image, files[1].Content)
	files[1].Content = string(image)
	for i := range 1100 {
		r := rand.New(rand.NewPCG(uint64(i), 2))
		content := make([]byte, 18<<10)
		for j := range content {
			content[j] = byte(r.Uint32())
		}
		files = append(files, pkgtest.File{Name: fmt.Sprintf("./lib/modules/%s/kernel/drivers/%d/m%d.ko.xz", second, i/10, i), Content: string(content)})
	}
	file = filepath.Join(b.TempDir(), "kernel.deb")
	if err := os.WriteFile(file, pkgtest.Deb(b, "linux-image", "1", ".zst", files...), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// BenchmarkRatioReleaseAdd holds the part of "snpguard release add" that is done here,
// reading the package and writing kernel and initrd, against the least that it takes:
// hashing the package, decompressing it once, writing the same kernel and compressing
// and writing the same initrd.
func BenchmarkRatioReleaseAdd(b *testing.B) {
	s := segment(b)
	s.Agent = noise(3, 8<<20)
	base, err := extract(b, launchtest.Release{Kernel: []byte("old kernel"), Initrd: packed(b, s)})
	if err != nil {
		b.Fatal(err)
	}
	file, dir := debianKernel(b), b.TempDir()
	set, err := linuxpkg.Open(dir, linuxpkg.Source{Path: file})
	if err != nil {
		b.Fatal(err)
	}
	k, err := rekernel.OfPackages(set, base.Config)
	if err != nil {
		b.Fatal(err)
	}
	s.Modules = k.Modules
	if err := set.Close(); err != nil {
		b.Fatal(err)
	}
	forget := func() {
		for _, name := range []string{"vmlinuz", "initrd.img"} {
			os.Remove(filepath.Join(dir, name)) //nolint:errcheck // it may not be there
		}
	}
	ratio.Pair{Clear: forget, Reference: func() { least(b, file, dir, s) }, Subject: func() {
		set, err := linuxpkg.Open(dir, linuxpkg.Source{Path: file})
		if err != nil {
			b.Fatal(err)
		}
		k, err := rekernel.OfPackages(set, base.Config)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := base.Write(dir, k, nil); err != nil {
			b.Fatal(err)
		}
		if err := set.Close(); err != nil {
			b.Fatal(err)
		}
	}}.Compare(b, "x-hash-unpack-write", 1.3)
}

// least is the reference.
func least(b *testing.B, file, dir string, s initrd.Segment) {
	b.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	sha256.Sum256(content)
	at := bytes.Index(content, []byte("\x28\xb5\x2f\xfd"))
	plain, _, err := decompress.NewReader(bufio.NewReader(bytes.NewReader(content[at:])))
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	archive := tar.NewReader(plain)
	for {
		h, err := archive.Next()
		if err == io.EOF { //nolint:errorlint // Next returns it as it is
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if h.Size < 12<<20 {
			continue
		}
		f, err := os.Create(filepath.Join(dir, "vmlinuz"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(f, archive); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	f, err := os.Create(filepath.Join(dir, "initrd.img"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := initrd.Write(f, s, decompress.Zstd); err != nil {
		b.Fatal(err)
	}
}
