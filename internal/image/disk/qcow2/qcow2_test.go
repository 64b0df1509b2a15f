package qcow2_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// tool runs a program of qemu-utils and returns what it printed.
func run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), tool.Path(tb, name), args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// runIn runs a program in a directory.
func runIn(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), tool.Path(tb, name), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// runThatDies is runIn for a program that does not end in order.
func runThatDies(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), tool.Path(tb, name), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil {
		tb.Fatalf("%s %v ended in order\n%s", name, args, out)
	}
}

func create(tb testing.TB, size int64, o qcow2.Options) (*qcow2.Writer, *os.File) {
	tb.Helper()
	f, err := os.Create(filepath.Join(tb.TempDir(), "image.qcow2"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	w, err := qcow2.Create(f, size, o)
	if err != nil {
		tb.Fatal(err)
	}
	return w, f
}

// same closes the image and lets QEMU check it and compare it with the content.
func same(tb testing.TB, w *qcow2.Writer, f *os.File, want []byte) {
	tb.Helper()
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if out := run(tb, "qemu-img", "check", "-f", "qcow2", f.Name()); !strings.Contains(out, "No errors were found") || strings.Contains(out, "eaked") {
		tb.Errorf("qemu-img check: %s", out)
	}
	raw := f.Name() + ".raw"
	if err := os.WriteFile(raw, want, 0o600); err != nil {
		tb.Fatal(err)
	}
	run(tb, "qemu-img", "compare", "-f", "qcow2", "-F", "raw", f.Name(), raw)
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func text(n int) []byte {
	return bytes.Repeat([]byte("Every unhappy family is unhappy in its own way. "), n/48+1)[:n]
}

func TestAnyPieceInAnyOrder(t *testing.T) {
	const size = 37<<20 + 512
	for _, o := range []qcow2.Options{
		{}, {Compress: true}, {ClusterSize: 4096}, {ClusterSize: 4096, Compress: true}, {ClusterSize: 2 << 20}, {ClusterSize: 2 << 20, Compress: true},
	} {
		w, f := create(t, size, o)
		if w.Size() != size || (o.ClusterSize != 0 && w.ClusterSize() != o.ClusterSize) {
			t.Errorf("%d bytes in clusters of %d", w.Size(), w.ClusterSize())
		}
		want := make([]byte, size)
		write := func(off int, p []byte) {
			t.Helper()
			if n, err := w.WriteAt(p, int64(off)); n != len(p) || err != nil {
				t.Fatalf("%+v: %d bytes at %d: %d, %v", o, len(p), off, n, err)
			}
			copy(want[off:], p)
		}
		write(size-1000, noise(1, 1000))
		write(20<<20, text(6<<20))
		write(512, noise(2, 17000))
		write(512, text(100))
		write(10<<20, noise(3, 4<<20))
		write(10<<20+4097, text(2<<20)) // in place, over borders
		write(4<<20-77, noise(4, 154))
		write(34<<20, make([]byte, 2<<20))
		write(9<<20, nil)
		write(30<<20, noise(5, 100))
		write(30<<20-100, noise(6, 200)) // lies in the file behind what follows it on the disk
		same(t, w, f, want)
	}
}

func TestPiecesSideBySide(t *testing.T) {
	const size, piece = 64 << 20, 256 << 10
	for _, compress := range []bool{false, true} {
		w, f := create(t, size, qcow2.Options{Compress: compress})
		want := make([]byte, size)
		for at := 0; at < size; at += 3 * piece {
			copy(want[at:at+piece], noise(byte(at/piece), piece))
			copy(want[at+piece/2:at+piece], text(piece/2))
		}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for at := worker * 3 * piece; at < size; at += 24 * piece {
					if _, err := w.WriteAt(want[at:at+piece], int64(at)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		same(t, w, f, want)
	}
}

func TestOnlyWhatIsWrittenTakesSpace(t *testing.T) {
	w, f := create(t, 1<<40, qcow2.Options{})
	for _, at := range []int64{0, 512 << 20, 1<<40 - 65536} {
		if _, err := w.WriteAt(make([]byte, 65536), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run(t, "qemu-img", "check", "-f", "qcow2", f.Name())
	// Header, 3 of data, 3 L2, L1, reference counts and their table.
	if info, err := f.Stat(); err != nil || info.Size() != 10*65536 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if out := run(t, "qemu-img", "map", "-f", "qcow2", "--output=json", f.Name()); strings.Count(out, `"data": true`) != 3 {
		t.Errorf("written zeros are no data: %s", out)
	}
	if out := run(t, "qemu-img", "info", "-f", "qcow2", f.Name()); !strings.Contains(out, "compat: 1.1") || !strings.Contains(out, "corrupt: false") || strings.Contains(out, "backing") {
		t.Errorf("qemu-img info: %s", out)
	}
}

func TestCompressedIsSmaller(t *testing.T) {
	for _, c := range []struct {
		content []byte
		most    int64
	}{
		{text(8 << 20), 1 << 20},
		{append(noise(1, 4<<20), text(4<<20)...), 5 << 20},
		{noise(1, 8<<20), 9 << 20},
		// What repeats farther away than QEMU's window of 4 KiB must not be used.
		{bytes.Repeat(append(text(4096), bytes.Repeat(noise(1, 5000), 13)[:15*4096]...), 8<<20/65536), 9 << 20},
	} {
		w, f := create(t, 8<<20, qcow2.Options{Compress: true})
		if _, err := w.WriteAt(c.content, 0); err != nil {
			t.Fatal(err)
		}
		same(t, w, f, append(c.content, make([]byte, 8<<20-len(c.content))...))
		info, err := f.Stat()
		if err != nil || info.Size() > c.most || (c.most == 9<<20 && info.Size() < 7<<20) {
			t.Errorf("%d bytes, want at most %d, %v", info.Size(), c.most, err)
		}
	}
}

func TestUnfinishedIsNoImage(t *testing.T) {
	w, f := create(t, 1<<20, qcow2.Options{})
	if _, err := w.WriteAt(noise(1, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 65536)
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.Equal(head, make([]byte, 65536)) {
		t.Errorf("a head before the end: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, qcow2.ErrWrite) {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := w.WriteAt(head, 0); !errors.Is(err, qcow2.ErrWrite) {
		t.Errorf("written after the end: %v", err)
	}
}

func TestTablesThatCannotBeWritten(t *testing.T) {
	w, f := create(t, 1<<20, qcow2.Options{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("written to a closed file: %v", err)
	}
	if err := w.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("ended in a closed file: %v", err)
	}
	if b, err := os.ReadFile(f.Name()); err != nil || len(b) != 0 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		size int64
		o    qcow2.Options
	}{
		"a disk of 0 ":    {0, qcow2.Options{}},
		"a disk of -512 ": {-512, qcow2.Options{}},
		"a disk of 1000 ": {1000, qcow2.Options{}},
		"disk of 1759218": {16<<40 + 512, qcow2.Options{}},
		"of 2048 bytes":   {1 << 20, qcow2.Options{ClusterSize: 2048}},
		"of 12288 bytes":  {1 << 20, qcow2.Options{ClusterSize: 12288}},
		"of 4194304":      {1 << 20, qcow2.Options{ClusterSize: 4 << 20}},
		"of -65536":       {1 << 20, qcow2.Options{ClusterSize: -65536}},
		"larger clusters": {16 << 40, qcow2.Options{ClusterSize: 4096}},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "image"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := qcow2.Create(f, c.size, c.o); !errors.Is(err, qcow2.ErrWrite) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
	w, f := create(t, 1<<20, qcow2.Options{Compress: true})
	if _, err := w.WriteAt(text(65536), 65536); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		off    int64
		length int
	}{
		"1 bytes at -1":         {-1, 1},
		"1 bytes at 1048576":    {1 << 20, 1},
		"2 bytes at 1048575":    {1<<20 - 1, 2},
		"cluster 1 is compress": {65536 + 512, 512},
		"cluster 1 is":          {65536, 65536},
	} {
		if _, err := w.WriteAt(make([]byte, c.length), c.off); !errors.Is(err, qcow2.ErrWrite) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := qcow2.Create(f, 1<<20, qcow2.Options{}); !errors.Is(err, qcow2.ErrWrite) {
		t.Errorf("created in a file that is not empty: %v", err)
	}
}
