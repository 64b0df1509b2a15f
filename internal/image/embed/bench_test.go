package embed

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
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
	path, other := filepath.Join(dir, "bundle"), filepath.Join(dir, "other")
	for path, cmdline := range map[string]string{path: "one", other: "two"} {
		data := launchtest.Bundle(b, launchtest.Release{Kernel: initrd[:12<<20], Initrd: initrd, Cmdline: cmdline})
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	image := sparseImage(b, 3<<30)
	copies := func() {
		for range 3 {
			copyOf(b, path, filepath.Join(dir, "copy"))
		}
	}
	name := ""
	ratio.Compare(b, "x-three-copies", 1, copies, func() {
		// Another bundle each time, since what is there already is not written.
		if name == other {
			name = path
		} else {
			name = other
		}
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		o := &Options{Config: Config{Image: image}, Reader: f, Trust: trust()}
		if r, err := Embed(b.Context(), o); err != nil || !r.Changed {
			b.Fatal(r, err)
		}
	})
}

// sparseImage is a qcow2 with slots of the default size.
func sparseImage(b *testing.B, size int64) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	head, err := slots.Make([16]byte{5}, slots.DefaultSize)
	if err != nil {
		b.Fatal(err)
	}
	table := &gpt.Table{SectorSize: 512, Partitions: []gpt.Partition{{Number: 1, Type: gpt.GUID{1}, First: 2048, Last: 2048 + slots.DefaultSize/512 - 1, Name: slots.Label}}}
	_, err = f.WriteAt(head, 1<<20)
	if err := errors.Join(err, f.Truncate(size), table.Write(f, size)); err != nil {
		b.Fatal(err)
	}
	image := filepath.Join(filepath.Dir(path), "disk.qcow2")
	tool(b, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", path, image)
	return image
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
