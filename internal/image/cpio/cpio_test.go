package cpio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
)

type entry struct {
	header  cpio.Header
	content string
}

func entries() []entry {
	return []entry{
		{cpio.Header{Name: "etc", Mode: cpio.ModeDir | 0o755}, ""},
		{cpio.Header{Name: "etc/one", Mode: cpio.ModeRegular | 0o640}, "1"},
		{cpio.Header{Name: "etc/four", Mode: cpio.ModeRegular | 0o644}, "four"},
		{cpio.Header{Name: "etc/link", Mode: cpio.ModeSymlink | 0o777}, "one"},
	}
}

func archive(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for _, e := range entries() {
		if err := w.Add(e.header, []byte(e.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestWrittenIsRead(t *testing.T) {
	const behind = "behind"
	source := strings.NewReader(string(archive(t)) + behind)
	r := cpio.NewReader(source)
	for _, want := range entries() {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != want.header.Name || h.Mode != want.header.Mode || string(content) != want.content || int(h.Size) != len(want.content) {
			t.Errorf("got %+v with %q, want %+v", h, content, want)
		}
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
	if rest, err := io.ReadAll(source); err != nil || string(rest) != behind {
		t.Errorf("behind the trailer is %q, %v", rest, err)
	}
}

// TestEndWithLastBytes reads from one who tells the end along with the last bytes.
func TestEndWithLastBytes(t *testing.T) {
	good := archive(t)
	to := bytes.Index(good, []byte("etc/four")) + 10 + len("four") // the name's padding is 1 byte, the content has none
	for _, missing := range []int{0, 1} {
		r := cpio.NewReader(iotest.DataErrReader(bytes.NewReader(good[:to-missing])))
		for range 3 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		content, err := io.ReadAll(r)
		if errors.Is(err, cpio.ErrMalformed) != (missing > 0) || err == nil && string(content) != "four" {
			t.Errorf("%d bytes missing: %q, %v", missing, content, err)
		}
	}
}

func TestGNUCpioUnderstands(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "cpio", "--extract", "--no-absolute-filenames", "--preserve-modification-time", "--quiet")
	cmd.Dir = dir
	cmd.Stdin = bytes.NewReader(archive(t))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
		t.Fatalf("cpio (Debian package cpio): %v: %s", err, out)
	}
	for _, e := range entries() {
		path := filepath.Join(dir, e.header.Name)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		switch e.header.Mode & cpio.ModeType {
		case cpio.ModeRegular:
			content, err := os.ReadFile(path)
			if err != nil || string(content) != e.content || uint32(info.Mode().Perm()) != e.header.Mode&0o777 || info.ModTime().Unix() != 0 {
				t.Errorf("%s: %q, %s, %s, %v", path, content, info.Mode(), info.ModTime(), err)
			}
		case cpio.ModeSymlink:
			if target, err := os.Readlink(path); err != nil || target != e.content {
				t.Errorf("%s: to %q, %v", path, target, err)
			}
		}
	}
}

func TestGNUCpioIsUnderstood(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "cpio", "--create", "--format=newc", "--quiet")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("file\n")
	made, err := cmd.Output()
	if err != nil {
		t.Fatalf("cpio (Debian package cpio): %v", err)
	}
	r := cpio.NewReader(bytes.NewReader(made))
	h, err := r.Next()
	if err != nil || h.Name != "file" || h.Mode != cpio.ModeRegular|0o600 {
		t.Fatalf("%+v, %v", h, err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
}

// TestChecksum has GNU cpio write the archive "with CRC": the kernel compares it.
func TestChecksum(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "cpio", "--create", "--format=crc", "--quiet")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("file\n")
	made, err := cmd.Output()
	if err != nil {
		t.Fatalf("cpio (Debian package cpio): %v", err)
	}
	if err := readAll(made); err != nil {
		t.Error(err)
	}
	damaged := bytes.Replace(made, []byte("content"), []byte("Content"), 1)
	if err := readAll(damaged); !errors.Is(err, cpio.ErrMalformed) {
		t.Errorf("damaged content: %v", err)
	}
	r := cpio.NewReader(iotest.DataErrReader(bytes.NewReader(damaged)))
	for err = error(nil); err == nil; {
		_, err = r.Next()
	}
	if !errors.Is(err, cpio.ErrMalformed) {
		t.Errorf("damaged content that is skipped: %v", err)
	}
}

// TestPaddedName aligns the content with zeros behind the name, as dracut-cpio and
// gen_init_cpio do.
func TestPaddedName(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s", 1, cpio.ModeRegular, 0, 0, 1, 0, 4, 0, 0, 0, 0, 18, 0, "file"+strings.Repeat("\x00", 14)+"data")
	w := cpio.NewWriter(&b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := cpio.NewReader(&b)
	h, err := r.Next()
	if err != nil || h.Name != "file" {
		t.Fatalf("%+v, %v", h, err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "data" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestDamagedArchivesAreRefused(t *testing.T) {
	good := archive(t)
	replaced := func(at int, with string) []byte {
		b := bytes.Clone(good)
		copy(b[at:], with)
		return b
	}
	for name, raw := range map[string][]byte{
		"magic":           replaced(0, "070707"),
		"no number":       replaced(6, "0000000x"),
		"sign":            replaced(6, "+0000001"),
		"no name":         replaced(94, "00000000"),
		"huge name":       replaced(94, "FFFFFFFF"),
		"name with NUL":   replaced(110, "e\x00c"),
		"unfinished name": replaced(113, "x"),
		"huge content":    replaced(54, "FFFFFFFF"),
		"no trailer":      good[:len(good)-124],
		"empty":           nil,
	} {
		if err := readAll(raw); !errors.Is(err, cpio.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for n := range good {
		if err := readAll(good[:n]); !errors.Is(err, cpio.ErrMalformed) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(good), err)
		}
		var err error
		for r := cpio.NewReader(bytes.NewReader(good[:n])); err == nil; {
			_, err = r.Next()
		}
		if !errors.Is(err, cpio.ErrMalformed) {
			t.Fatalf("cut to %d of %d bytes, whose content is skipped: %v", n, len(good), err)
		}
	}
}

func TestUnfitNamesAreNotWritten(t *testing.T) {
	for _, name := range []string{"", "TRAILER!!!", "a\x00b", strings.Repeat("a", 4096)} {
		if err := cpio.NewWriter(io.Discard).Add(cpio.Header{Name: name}, nil); err == nil {
			t.Errorf("%.20q was written", name)
		}
	}
}

// TestHugeContentIsNotWritten maps memory that nobody looks at.
func TestHugeContentIsNotWritten(t *testing.T) {
	huge, err := syscall.Mmap(-1, 0, 1<<32, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.NewWriter(io.Discard)
	if err := w.Add(cpio.Header{Name: "huge"}, huge); err == nil || !strings.Contains(err.Error(), "4294967296 bytes do not fit") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(w.Add(cpio.Header{Name: "large"}, huge[1:]), syscall.Munmap(huge)); err != nil {
		t.Error(err)
	}
}

func readAll(raw []byte) error {
	r := cpio.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Mode&cpio.ModeType == cpio.ModeSymlink {
			_, err = r.Target()
		} else {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return err
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(archive(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := readAll(raw); err != nil && !errors.Is(err, cpio.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}
