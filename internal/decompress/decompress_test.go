package decompress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/decompress"
)

func text() string { return strings.Repeat("what is said three times is true. ", 3000) }

// packed holds the text in every format; bzip2 has no writer in Go.
func packed(tb testing.TB) map[decompress.Format][]byte {
	tb.Helper()
	all := map[decompress.Format][]byte{decompress.None: []byte(text())}
	for format, open := range map[decompress.Format]func(io.Writer) (io.WriteCloser, error){
		decompress.Gzip: func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		decompress.Zstd: func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
		decompress.XZ:   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		decompress.LZMA: func(w io.Writer) (io.WriteCloser, error) { return lzma.NewWriter(w) },
		decompress.LZ4: func(w io.Writer) (io.WriteCloser, error) {
			writer := lz4.NewWriter(w)
			return writer, writer.Apply(lz4.LegacyOption(true))
		},
	} {
		var b bytes.Buffer
		w, err := open(&b)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, text()); err != nil {
			tb.Fatal(err)
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
		all[format] = b.Bytes()
	}
	cmd := exec.CommandContext(tb.Context(), "bzip2", "--compress")
	cmd.Stdin = strings.NewReader(text())
	bz, err := cmd.Output()
	if err != nil {
		tb.Fatalf("bzip2 (Debian package bzip2): %v", err)
	}
	all[decompress.Bzip2] = bz
	return all
}

func TestEveryFormatIsRead(t *testing.T) {
	for format, raw := range packed(t) {
		if got := decompress.Detect(raw); got != format {
			t.Errorf("%s was taken for %s", format, got)
		}
		got, err := decompress.All(bytes.NewReader(raw), int64(len(text())))
		if err != nil || string(got) != text() {
			t.Errorf("%s: %d bytes, %v", format, len(got), err)
		}
		if _, err := decompress.All(bytes.NewReader(raw), int64(len(text()))-1); !errors.Is(err, decompress.ErrTooLarge) {
			t.Errorf("%s, a byte too long: %v", format, err)
		}
		if format == decompress.None {
			continue
		}
		if _, err := decompress.All(bytes.NewReader(raw[:len(raw)/2]), 1<<20); !errors.Is(err, decompress.ErrMalformed) {
			t.Errorf("%s, cut off: %v", format, err)
		}
	}
}

func TestGzipEndsAtItsEnd(t *testing.T) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(packed(t)[decompress.Gzip]), strings.NewReader("behind")))
	content, _, err := decompress.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(content); err != nil || string(got) != text() {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "behind" {
		t.Errorf("behind it is %q, %v", rest, err)
	}
}

// A frame may declare a window of terabytes; it must not be granted.
func TestHugeWindowIsRefused(t *testing.T) {
	frame := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xF8, 0x01, 0x00, 0x00}
	if _, err := decompress.All(bytes.NewReader(frame), 1<<20); !errors.Is(err, decompress.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	file := bytes.Clone(packed(t)[decompress.LZMA])
	copy(file[1:5], []byte{0, 0, 0, 0x10}) // a dictionary of 256 MiB
	if _, err := decompress.All(bytes.NewReader(file), 1<<20); !errors.Is(err, decompress.ErrMalformed) {
		t.Errorf("lzma: got %v", err)
	}
}

func FuzzAll(f *testing.F) {
	for _, raw := range packed(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		const limit = 1 << 20
		content, err := decompress.All(bytes.NewReader(raw), limit)
		if err == nil && len(content) > limit {
			t.Errorf("%d bytes", len(content))
		}
		if err != nil && !errors.Is(err, decompress.ErrMalformed) && !errors.Is(err, decompress.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
}
