package qcow2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/qcow2"
)

// odd are images of different kinds: options of qemu-img convert, and what qemu-io and
// qemu-img do to the image afterwards.
var odd = map[string]struct {
	options string
	after   []string
}{
	"plain":          {options: ""},
	"version 2":      {options: "-o compat=0.10"},
	"512":            {options: "-o cluster_size=512"},
	"512 deflate":    {options: "-c -o cluster_size=512"},
	"4k deflate":     {options: "-c -o cluster_size=4k"},
	"deflate":        {options: "-c"},
	"deflate in 2":   {options: "-c -o compat=0.10"},
	"2M":             {options: "-o cluster_size=2M"},
	"2M deflate":     {options: "-c -o cluster_size=2M"},
	"zstd":           {options: "-c -o compression_type=zstd"},
	"512 zstd":       {options: "-c -o compression_type=zstd,cluster_size=512"},
	"2M zstd":        {options: "-c -o compression_type=zstd,cluster_size=2M"},
	"sparse":         {options: "-S 4k"},
	"preallocated":   {options: "-o preallocation=metadata"},
	"8-bit counts":   {options: "-o refcount_bits=8"},
	"lazy counts":    {options: "-o lazy_refcounts=on", after: []string{"io write -P 7 1M 64k", "io abort"}},
	"zeros":          {after: []string{"io write -z 4M 256k", "io write -z -u 1M 128k", "io write -z 3M 1M"}},
	"discarded":      {after: []string{"io discard 4M 512k"}},
	"mixed":          {options: "-c", after: []string{"io write -P 1 1100k 300k", "io write -c -P 2 5M 64k", "io write -z 4M 64k"}},
	"snapshots":      {after: []string{"img snapshot -c one", "io write -P 3 4M 100k", "img snapshot -c two", "io write -P 4 4M 10k"}},
	"larger":         {after: []string{"img resize -q -f qcow2 image 700M", "io write -P 5 690M 1M"}},
	"larger, of 512": {options: "-o cluster_size=512", after: []string{"img resize -q -f qcow2 image 70000640", "io write -P 5 69999616 512"}},
}

// TestReader reads every cluster of odd images, and compares with what QEMU reads.
func TestReader(t *testing.T) {
	for name, c := range odd {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, want := oddImage(t, c.options, c.after)
			image := load(t, path)
			if dirty := image[79]&1 != 0; dirty != (name == "lazy counts") {
				t.Errorf("dirty: %t", dirty)
			}
			r := openReader(t, image)
			if r.Size() != int64(len(want)) {
				t.Fatalf("%d bytes, want %d", r.Size(), len(want))
			}
			got := make([]byte, len(want))
			if n, err := r.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, want) {
				t.Errorf("in one piece: %d, %v, equal %t", n, err, bytes.Equal(got, want))
			}
			pieces(t, r, want)
			if zeros := extents(t, r, want); zeros < 2<<20 && name != "preallocated" {
				t.Errorf("%d bytes read as zeros without being stored", zeros)
			}
		})
	}
}

// pieces reads odd pieces, at the same time.
func pieces(t *testing.T, r *qcow2.Reader, want []byte) {
	t.Helper()
	var group sync.WaitGroup
	for seed := range byte(3) {
		group.Go(func() {
			random := rand.New(rand.NewChaCha8([32]byte{seed}))
			for range 300 {
				off := random.IntN(min(len(want), 10<<20) + 100)
				p := make([]byte, random.IntN(300<<10>>(random.IntN(10))))
				n, err := r.ReadAt(p, int64(off))
				there := want[min(off, len(want)):min(off+len(p), len(want))]
				if !bytes.Equal(p[:n], there) || (n < len(p)) != errors.Is(err, io.EOF) || (n == len(p) && err != nil) {
					t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
				}
			}
		})
	}
	group.Wait()
}

// extents holds what is said to read as zeros to be so, and adds it up.
func extents(t *testing.T, r *qcow2.Reader, want []byte) (zeros int64) {
	t.Helper()
	for at := int64(0); at < r.Size(); {
		n, zero, err := r.Extent(at)
		if err != nil || n <= 0 || at+n > r.Size() {
			t.Fatalf("extent at %d: %d, %v", at, n, err)
		}
		if zero && len(bytes.TrimLeft(want[at:at+n], "\x00")) > 0 {
			t.Errorf("%d bytes at %d are not zeros", n, at)
		}
		if zero {
			zeros += n
		}
		at += n
	}
	for _, at := range []int64{-1, r.Size()} {
		if _, _, err := r.Extent(at); err == nil {
			t.Errorf("an extent at %d", at)
		}
	}
	return zeros
}

// oddImage makes an image of text, noise, zeros and holes, and returns what QEMU reads.
func oddImage(tb testing.TB, options string, after []string) (path string, want []byte) {
	tb.Helper()
	dir := tb.TempDir()
	raw := make([]byte, 9<<20+1536)
	copy(raw[1<<20:], text(2<<20))
	copy(raw[4<<20:], noise(1, 1<<20))
	copy(raw[9<<20:], text(1536))
	save(tb, filepath.Join(dir, "raw"), raw)
	tool := func(name string, args ...string) { runIn(tb, dir, name, args...) }
	tool("qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, strings.Fields(options)...), "raw", "image")...)
	for _, command := range after {
		verb, rest, _ := strings.Cut(command, " ")
		switch {
		case command == "io abort": // leaves it dirty
			runThatDies(tb, dir, "qemu-io", "-f", "qcow2", "-c", "write -P 9 7M 64k", "-c", "abort", "image")
		case verb == "io":
			tool("qemu-io", "-f", "qcow2", "-c", rest, "image")
		default:
			args := strings.Fields(rest)
			if args[0] == "snapshot" {
				args = append(args, "image")
			}
			tool("qemu-img", args...)
		}
	}
	tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "image", "read")
	return filepath.Join(dir, "image"), load(tb, filepath.Join(dir, "read"))
}

func openReader(tb testing.TB, image []byte) *qcow2.Reader {
	tb.Helper()
	r, err := qcow2.Open(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
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

// TestDiskOfAnySize counts in sectors as QEMU does.
func TestDiskOfAnySize(t *testing.T) {
	image := headOf(1, 1<<20)
	for size, want := range map[uint64]int64{1: 0, 511: 0, 512: 512, 1<<20 - 1: 1<<20 - 512} {
		binary.BigEndian.PutUint64(image[24:], size)
		if r := openReader(t, image); r.Size() != want {
			t.Errorf("%d bytes: %d", size, r.Size())
		}
	}
}

// headOf makes an empty image with one L2 table and some data behind it.
func headOf(compression byte, size uint64) []byte {
	const cluster = 64 << 10
	b := make([]byte, 4*cluster)
	copy(b, "QFI\xfb\x00\x00\x00\x03")
	be := binary.BigEndian
	be.PutUint32(b[20:], 16)
	be.PutUint64(b[24:], size)
	be.PutUint32(b[36:], 1)
	be.PutUint64(b[40:], cluster)
	be.PutUint32(b[96:], 4)
	be.PutUint32(b[100:], 112)
	if compression == 1 {
		be.PutUint64(b[72:], 1<<3)
		b[104] = 1
	}
	be.PutUint64(b[cluster:], 2*cluster)
	return b
}

// TestDamagedWhereItIsRead has images that Check would have refused, and such as changed
// after it.
func TestDamagedWhereItIsRead(t *testing.T) {
	const cluster, table, data = 64 << 10, 128 << 10, 192 << 10
	be := binary.BigEndian
	for want, damage := range map[string]func(b []byte) []byte{
		"L2 table 0 at 131584 starts inside": func(b []byte) []byte { be.PutUint64(b[cluster:], table+512); return b },
		"L2 table 0: refused":                func(b []byte) []byte { be.PutUint64(b[cluster:], 4*cluster); return b },
		"data at 197120 starts inside":       func(b []byte) []byte { be.PutUint64(b[table:], data+512); return b },
		"is at 262144, the file has 262144":  func(b []byte) []byte { be.PutUint64(b[table:], 4*cluster); return b },
		"points outside of itself":           func(b []byte) []byte { return b[:data+cluster-512] },
		"is at 262100, the file has 262144":  func(b []byte) []byte { be.PutUint64(b[table:], 1<<62|1<<54|262100); return b },
		"compressed cluster at 196608":       func(b []byte) []byte { be.PutUint64(b[table:], 1<<62|1<<54|data); b[data] = 7; return b },
		"byte 0 reads as zeros by a flag":    func(b []byte) []byte { be.PutUint64(b[table:], 1); b[7] = 2; return b },
	} {
		for compression := range byte(2) {
			b := headOf(compression, 1<<20)
			be.PutUint64(b[table:], data)
			b = damage(b)
			if b[7] == 2 && compression == 1 {
				continue // version 2 has no other
			}
			p := bytes.Repeat([]byte{0x55}, cluster)
			n, err := openReader(t, b).ReadAt(p, 0)
			if n != 0 || !errors.Is(err, qcow2.ErrImage) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %d, %v", want, n, err)
			}
			h, err := qcow2.ReadHeader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			// Nobody decompresses before a cluster is read.
			if err := h.Check(); errors.Is(err, qcow2.ErrImage) == strings.HasPrefix(want, "compressed") {
				t.Errorf("%s: checked: %v", want, err)
			}
		}
	}
}

// TestLastSector has a file that ends in its last sector, and one that becomes shorter.
func TestLastSector(t *testing.T) {
	const cluster, table, data = 64 << 10, 128 << 10, 192 << 10
	b := headOf(0, 1<<20)
	binary.BigEndian.PutUint64(b[table:], data)
	copy(b[data:], noise(2, cluster))
	want := append(bytes.Clone(b[data:len(b)-511]), make([]byte, 511)...)
	p := make([]byte, cluster)
	if _, err := openReader(t, b[:len(b)-511]).ReadAt(p, 0); err != nil || !bytes.Equal(p, want) {
		t.Errorf("a last sector that is not whole: %v", err)
	}
	r, err := qcow2.Open(bytes.NewReader(b[:len(b)-511]), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(p, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that has become shorter: %v", err)
	}
	if _, err := r.ReadAt(p, -1); err == nil {
		t.Error("a negative offset is read")
	}
}

// TestLeftToQEMU has images that only QEMU reads, or nobody.
func TestLeftToQEMU(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte)
		want   error
	}{
		"backing file":             {func(b []byte) { b[15], b[19] = 120, 4; copy(b[120:], "base") }, qcow2.ErrUnsupported},
		"extended L2":              {func(b []byte) { b[79] |= 1 << 4 }, qcow2.ErrUnsupported},
		"zstd without its feature": {func(b []byte) { b[104] = 1 }, qcow2.ErrImage},
		"a feature without zstd":   {func(b []byte) { b[79] |= 1 << 3 }, qcow2.ErrImage},
		"compression of type 2":    {func(b []byte) { b[79] |= 1 << 3; b[104] = 2 }, qcow2.ErrImage},
		"corrupt":                  {func(b []byte) { b[79] |= 1 << 1 }, qcow2.ErrImage},
		"L1 table outside":         {func(b []byte) { b[44] = 1 }, qcow2.ErrImage},
	} {
		b := headOf(0, 1<<20)
		c.damage(b)
		if _, err := qcow2.Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReader looks for images that are read otherwise than with bytes or an error.
func FuzzReader(f *testing.F) {
	for _, options := range []string{
		"-o cluster_size=512", "-c -o cluster_size=512", "-c -o cluster_size=512,compression_type=zstd", "-c -o cluster_size=512,compat=0.10",
	} {
		dir := f.TempDir()
		save(f, filepath.Join(dir, "raw"), append(text(4096), noise(1, 1024)...))
		runIn(f, dir, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, strings.Fields(options)...), "raw", "image")...)
		f.Add(load(f, filepath.Join(dir, "image")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := qcow2.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, qcow2.ErrImage) && !errors.Is(err, qcow2.ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		p := make([]byte, 5000)
		for _, at := range []int64{0, 1000, r.Size() / 2, r.Size() - 4096, r.Size()} {
			n, err := r.ReadAt(p, max(0, at))
			if err != nil && !errors.Is(err, qcow2.ErrImage) && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if err == nil && n < len(p) {
				t.Fatal(fmt.Sprint("short without an error: ", n))
			}
			if at >= 0 && at < r.Size() {
				if n, _, err := r.Extent(at); err == nil && (n <= 0 || n > r.Size()-at) {
					t.Fatalf("extent of %d bytes at %d", n, at)
				}
			}
		}
	})
}
