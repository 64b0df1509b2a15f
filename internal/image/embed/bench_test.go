package embed

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// BenchmarkRatioEmbed holds embedding into a qcow2 of 3 GiB against three copies
// of the bundle, all durable.
func BenchmarkRatioEmbed(b *testing.B) {
	dir := b.TempDir()
	initrd := make([]byte, 96<<20)
	if _, err := rand.Read(initrd); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "bundle")
	if err := os.WriteFile(path, launchtest.Bundle(b, launchtest.Release{Kernel: initrd[:12<<20], Initrd: initrd}), 0o600); err != nil {
		b.Fatal(err)
	}
	disk := blankDisk(b)
	disk.b = append(disk.b, make([]byte, 3<<30-len(disk.b))...)
	image := imageOf(b, disk, "qcow2")
	disk.b = nil
	copies := func() {
		for range 3 {
			copyOf(b, path, filepath.Join(dir, "copy"))
		}
	}
	count := 0
	ratio.Compare(b, "x-three-copies", 1, copies, func() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		// Another size each time, since what is there already is not written.
		count++
		size := (512 + count%2) << 20
		o := &Options{Config: Config{Image: image, Size: strconv.Itoa(size)}, Reader: f, Trust: trust()}
		if r, err := Embed(b.Context(), o); err != nil || !r.Changed {
			b.Fatal(r, err)
		}
	})
}

func copyOf(b *testing.B, from, to string) {
	b.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, bytes.NewReader(data)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}
