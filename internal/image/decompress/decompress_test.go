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

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
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

// program compresses with a program of the distribution.
func program(tb testing.TB, content string, args ...string) []byte {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(content)
	packed, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s (Debian packages xz-utils, lz4, zstd, gzip): %v", args, err)
	}
	return packed
}

// TestInitramfs holds what follows an archive against the end that the kernel
// finds, and refuses the forms that it does not read.
func TestInitramfs(t *testing.T) {
	const behind = "\x00\x00\x00\x00behind"
	for name, raw := range map[string][]byte{
		"gzip":          program(t, text(), "gzip", "-c"),
		"xz crc32":      program(t, text(), "xz", "--check=crc32", "-c"),
		"xz no check":   program(t, text(), "xz", "--check=none", "-c"),
		"xz blocks":     program(t, text(), "xz", "--check=crc32", "--block-size=20000", "-c"),
		"lz4 legacy":    program(t, text(), "lz4", "-q", "-l", "-c"),
		"zstd":          program(t, text(), "zstd", "-q", "-c"),
		"zstd no check": program(t, text(), "zstd", "-q", "--no-check", "-c"),
		"zstd 19":       program(t, text(), "zstd", "-q", "-19", "-c"),
		"zstd repeats":  program(t, strings.Repeat("a", 400<<10), "zstd", "-q", "-c"),
	} {
		r := bufio.NewReader(strings.NewReader(string(raw) + behind))
		content, format, err := decompress.Initramfs(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := io.ReadAll(content); err != nil || string(got) != text() && string(got) != strings.Repeat("a", 400<<10) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != behind {
			t.Errorf("%s: behind it is %.20q, %v", name, rest, err)
		}
		if err := content.Close(); err != nil || format == decompress.None {
			t.Errorf("%s: %s, %v", name, format, err)
		}
		content, _, err = decompress.Initramfs(bufio.NewReader(bytes.NewReader(raw[:len(raw)-1])))
		if err == nil {
			_, err = io.ReadAll(content)
		}
		if !errors.Is(err, decompress.ErrMalformed) {
			t.Errorf("%s, cut off: %v", name, err)
		}
	}
	for want, raw := range map[string][]byte{
		"xz --check=crc32":   program(t, text(), "xz", "--check=crc64", "-c"),
		"xz: the kernel":     program(t, text(), "xz", "--check=sha256", "-c"),
		"lz4 -l":             program(t, text(), "lz4", "-q", "-c"),
		"flags 0x2":          {0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 3},
		"bzip2: its end":     packed(t)[decompress.Bzip2],
		"lzma: its end":      packed(t)[decompress.LZMA],
		"lzo is not read":    []byte("\x89LZO\x00\r\n\x1a\n"),
		"taken for another ": append(program(t, text(), "lz4", "-q", "-l", "-c"), "070701 a plain archive"...),
	} {
		content, _, err := decompress.Initramfs(bufio.NewReader(bytes.NewReader(raw)))
		if err == nil {
			_, err = io.ReadAll(content)
		}
		if !errors.Is(err, decompress.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if content, format, err := decompress.Initramfs(bufio.NewReader(strings.NewReader("no archive"))); content != nil || format != decompress.None || err != nil {
		t.Errorf("no archive: %v, %s, %v", content, format, err)
	}
}

func FuzzInitramfs(f *testing.F) {
	for _, raw := range packed(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		content, _, err := decompress.Initramfs(bufio.NewReader(bytes.NewReader(raw)))
		if err == nil && content != nil {
			_, err = io.Copy(io.Discard, io.LimitReader(content, 1<<20))
			content.Close()
		}
		if err != nil && !errors.Is(err, decompress.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
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
