package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// TestReadWithoutQEMU has the formats for which no program is started.
func TestReadWithoutQEMU(t *testing.T) {
	var paths []string
	for _, options := range []string{
		"-O raw", "-O qcow2", "-O qcow2 -o compat=0.10", "-c -O qcow2", "-c -O qcow2 -o compression_type=zstd", "-O qcow2 -o cluster_size=512",
	} {
		paths = append(paths, image(t, strings.Fields(options)...))
	}
	t.Setenv("PATH", t.TempDir())
	for _, path := range paths {
		same(t, open(t, probe(t, path)), content())
	}
}

// TestRawOfAnySize compares with QEMU, which fills the last sector with zeros.
func TestRawOfAnySize(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{1, 511, 512, 513, 70000, 1<<20 + 100} {
		path := filepath.Join(dir, "image")
		save(t, path, bytes.Repeat([]byte{7}, size))
		run(t, dir, "qemu-img", "convert", "-f", "raw", "-O", "raw", "image", "read")
		same(t, open(t, probe(t, path)), load(t, filepath.Join(dir, "read")))
	}
}

// TestRawThatBecomesShorter is told, and not read as zeros.
func TestRawThatBecomesShorter(t *testing.T) {
	path := image(t, "-O", "raw")
	d := open(t, probe(t, path))
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(make([]byte, 4096), 0); n != 1000 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if _, err := d.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
}

// TestHolesOfRawImages are where the file has them.
func TestHolesOfRawImages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, first := f.WriteAt(bytes.Repeat([]byte{1}, 1<<20), 4<<20)
	if err := errors.Join(first, f.Truncate(16<<20)); err != nil {
		t.Fatal(err)
	}
	d := open(t, probe(t, path))
	extents, err := d.Extents(0, d.Size())
	if err != nil || len(extents) != 3 || extents[1].Offset != 4<<20 || extents[1].Length != 1<<20 || extents[1].Zero || !extents[2].Zero {
		t.Errorf("%+v, %v", extents, err)
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, -1}, {1, d.Size()}} {
		if _, err := d.Extents(bad[0], bad[1]); err == nil {
			t.Errorf("extents of %d bytes at %d", bad[1], bad[0])
		}
	}
}

// TestTooManyExtents has every second cluster in use.
func TestTooManyExtents(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "image")
	const tables = 1 << 16 // of 64 entries, each for 512 bytes
	b := make([]byte, 512+tables*8+1024)
	copy(b, "QFI\xfb\x00\x00\x00\x02")
	be32(20, 9)(b)
	be64(24, tables*64*512)(b)
	be32(36, tables)(b)
	be64(40, 512)(b)
	table := len(b) - 1024
	for i := range tables {
		be64(512+8*i, uint64(table))(b)
	}
	for i := range 32 {
		be64(table+16*i, uint64(table+512))(b)
	}
	// It was another one when it was probed: Probe refuses tables that are shared.
	run(t, dir, "qemu-img", "create", "-q", "-f", "qcow2", "image", "1M")
	s := probe(t, path)
	save(t, path, b)
	d := open(t, s)
	if _, err := d.Extents(0, d.Size()); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "1048576 extents") {
		t.Errorf("got %v", err)
	}
	if extents, err := d.Extents(0, 1<<20); err != nil || len(extents) != 2048 {
		t.Errorf("%d extents, %v", len(extents), err)
	}
}

// TestExtentsEndWithTheContext as reads do.
func TestExtentsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d, err := qemu.Open(ctx, probe(t, image(t, "-O", "raw")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	cancel()
	if _, err := d.Extents(0, 512); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// openedBy opens an image in qemu-io, to be read or written, and returns what that says
// and what ends it.
func openedBy(t *testing.T, path, format string, options ...string) (words string, end func()) {
	t.Helper()
	args := append([]string{"-f", format}, options...)
	cmd := exec.CommandContext(t.Context(), tool.Path(t, "qemu-io"), append(args, path)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	// It answers when it has opened the image, or says why it does not.
	if _, err := in.Write([]byte("length\n")); err != nil {
		t.Log(err)
	}
	answer := make([]byte, 4096)
	for !strings.Contains(words, "MiB") {
		n, err := out.Read(answer)
		words += string(answer[:n])
		if err != nil {
			break
		}
	}
	return words, func() {
		_ = in.Close()
		_ = cmd.Wait()
		_ = out.Close()
	}
}

// TestImagesInUse are locked as QEMU does it, in both directions.
func TestImagesInUse(t *testing.T) {
	for _, format := range []string{"raw", "qcow2"} {
		path := image(t, "-O", format)
		s := probe(t, path)
		words, end := openedBy(t, path, format)
		if _, err := qemu.Open(t.Context(), s); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "another process writes to it") {
			t.Errorf("%s that QEMU writes to (%s): %v", format, words, err)
		}
		end()
		words, end = openedBy(t, path, format, "-r")
		d, err := qemu.Open(t.Context(), s)
		if err != nil {
			t.Fatalf("%s that QEMU reads (%s): %v", format, words, err)
		}
		end()
		second, err := qemu.Open(t.Context(), s)
		if err != nil {
			t.Fatalf("%s that this process reads: %v", format, err)
		}
		words, end = openedBy(t, path, format)
		if !strings.Contains(words, `"write" lock`) {
			t.Errorf("%s that is read: QEMU writes to it: %s", format, words)
		}
		end()
		if err := errors.Join(d.Close(), second.Close()); err != nil {
			t.Fatal(err)
		}
		words, end = openedBy(t, path, format)
		if strings.Contains(words, "lock") {
			t.Errorf("%s that was read: %s", format, words)
		}
		end()
	}
}
