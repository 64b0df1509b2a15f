package qcow2_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// BenchmarkRatioWrite turns a raw image of 256 MiB into a qcow2, noise as it
// is, text compressed, against qemu-img convert.
func BenchmarkRatioWrite(b *testing.B) {
	const size, piece = 256 << 20, 256 << 10
	for name, c := range map[string]struct {
		content []byte
		flags   []string
		o       qcow2.Options
	}{
		"plain":      {noise(1, size), []string{"-O", "qcow2"}, qcow2.Options{}},
		"compressed": {append(text(size/2), noise(1, size/2)...), []string{"-c", "-O", "qcow2"}, qcow2.Options{Compress: true}},
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			raw, out := filepath.Join(dir, "raw"), filepath.Join(dir, "out")
			if err := os.WriteFile(raw, c.content, 0o600); err != nil {
				b.Fatal(err)
			}
			// Both leave a durable file: -t none would not do on every file system.
			reference := func() {
				run(b, "qemu-img", append(append([]string{"convert", "-t", "writeback", "-f", "raw"}, c.flags...), raw, out)...)
				remove(b, out)
			}
			subject := func() {
				in, err := os.Open(raw)
				if err != nil {
					b.Fatal(err)
				}
				defer in.Close()
				f, err := os.Create(out)
				if err != nil {
					b.Fatal(err)
				}
				defer f.Close()
				w, err := qcow2.Create(f, size, c.o)
				if err != nil {
					b.Fatal(err)
				}
				copyPieces(b, w, in, size, piece)
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				remove(b, out)
			}
			ratio.Compare(b, "x-qemu-img-convert", 1.25, reference, subject)
		})
	}
}

func remove(b *testing.B, path string) {
	b.Helper()
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
}

func copyPieces(b *testing.B, w *qcow2.Writer, in *os.File, size, piece int64) {
	b.Helper()
	workers := int64(runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			p := make([]byte, piece)
			for at := worker * piece; at < size; at += workers * piece {
				if _, err := in.ReadAt(p, at); err != nil {
					b.Error(err)
				}
				if _, err := w.WriteAt(p, at); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}
