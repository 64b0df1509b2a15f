package qemu_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// BenchmarkRatioRead turns a compressed qcow2 of 288 MiB into a raw file
// against qemu-img convert.
func BenchmarkRatioRead(b *testing.B) {
	dir := b.TempDir()
	raw := make([]byte, 0, 288<<20)
	for len(raw) < cap(raw) {
		raw = append(raw, content()...)
	}
	save(b, filepath.Join(dir, "raw"), raw)
	run(b, dir, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "raw", "image")
	out := filepath.Join(dir, "out")
	reference := func() { run(b, dir, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", "image", "out") }
	subject := func() {
		d, err := qemu.Open(b.Context(), probe(b, filepath.Join(dir, "image")))
		if err != nil {
			b.Fatal(err)
		}
		extents, err := d.Extents(0, d.Size())
		if err != nil {
			b.Fatal(err)
		}
		var data []qemu.Range
		for _, e := range extents {
			if !e.Zero {
				data = append(data, qemu.Range{Offset: e.Offset, Length: e.Length})
			}
		}
		f, err := os.Create(out)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		err = d.ReadRanges(b.Context(), data, func(p []byte, offset int64) error {
			_, err := f.WriteAt(p, offset)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
	ratio.Compare(b, "x-qemu-img-convert", 1, reference, subject)
}
