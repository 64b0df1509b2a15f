package qemu_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// run runs a program of qemu-utils in a directory.
func run(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), tool.Path(tb, name), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// content is a disk of 9 MiB: text that compresses, noise, and holes.
func content() []byte {
	b := make([]byte, 9<<20)
	copy(b[1<<20:], bytes.Repeat([]byte("All happy families are alike. "), 40000))
	seed := rand.NewChaCha8([32]byte{1})
	_, _ = seed.Read(b[4<<20 : 5<<20])
	_, _ = seed.Read(b[9<<20-1536:])
	return b
}

// image writes the content as raw and converts it with the options of
// qemu-img convert given.
func image(tb testing.TB, options ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	save(tb, filepath.Join(dir, "raw"), content())
	run(tb, dir, "qemu-img", append(append([]string{"convert", "-f", "raw"}, options...), "raw", "image")...)
	return filepath.Join(dir, "image")
}

func save(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func load(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func probe(tb testing.TB, path string) *qemu.Source {
	tb.Helper()
	s, err := qemu.Probe(path)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// open starts qemu-nbd with its files in a directory that is looked at.
func open(tb testing.TB, s *qemu.Source) *qemu.Disk {
	tb.Helper()
	d, err := qemu.Open(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	return d
}
