package initrd_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

func archive(tb testing.TB, names ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for _, name := range names {
		if err := w.Add(cpio.Header{Name: name, Mode: cpio.ModeRegular | 0o644}, []byte(name)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zipped(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// debian is shaped after what initramfs-tools makes: a plain archive of modules
// first, the rest compressed.
func debian(tb testing.TB) []byte {
	return slices.Concat(archive(tb, "usr/lib/modules/6.12/dm.ko"), make([]byte, 508), zipped(tb, archive(tb, "./init", "./conf/initramfs.conf", "scripts/functions")))
}

func segment() initrd.Segment {
	return initrd.Segment{
		Agent:  []byte("\x7fELF" + strings.Repeat("agent", 1000)),
		Config: []byte("{}\n"),
		Modules: []kmod.Module{
			{Name: "dm_mod", Data: []byte("first")},
			{Name: "dm_crypt", Data: []byte("second")},
		},
	}
}

func appended(tb testing.TB, original []byte, how decompress.Format) (whole []byte, offset int64) {
	tb.Helper()
	var b bytes.Buffer
	offset, err := initrd.Append(&b, bytes.NewReader(original), segment(), how)
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), offset
}

func TestAppend(t *testing.T) {
	for _, how := range initrd.Compressions() {
		for extra := range 4 {
			original := append(debian(t), make([]byte, extra)...)
			whole, offset := appended(t, original, how)
			if !bytes.HasPrefix(whole, original) {
				t.Errorf("%s: the original was changed", how)
			}
			between := whole[len(original):offset]
			if offset%4 != 0 || len(between) < 4 || len(between) > 7 || !bytes.Equal(between, make([]byte, len(between))) {
				t.Errorf("%s: segment at %d behind %d bytes", how, offset, len(original))
			}
			if got := decompress.Detect(whole[offset:]); got != how {
				t.Errorf("segment is %s, want %s", got, how)
			}
			again, _ := appended(t, original, how)
			if !bytes.Equal(whole, again) {
				t.Errorf("%s: other bytes in another run", how)
			}
		}
	}
}

// The segment, read by a program that is not ours.
func TestGNUCpioReadsTheSegment(t *testing.T) {
	for _, how := range initrd.Compressions() {
		whole, offset := appended(t, debian(t), how)
		plain, err := decompress.All(bytes.NewReader(whole[offset:]), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "cpio", "--extract", "--quiet")
		cmd.Dir = dir
		cmd.Stdin = bytes.NewReader(plain)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("cpio (Debian package cpio): %v: %s", err, out)
		}
		s := segment()
		for name, want := range map[string][]byte{
			"snpguard/agent":                     s.Agent,
			"snpguard/config.json":               s.Config,
			"snpguard/modules/000-dm_mod.ko":     s.Modules[0].Data,
			"snpguard/modules/001-dm_crypt.ko":   s.Modules[1].Data,
			"etc/udev/rules.d/59-snpguard.rules": []byte(`SUBSYSTEM=="block", KERNEL=="dm-*", ATTR{dm/name}=="cryptroot", ENV{DM_NAME}="cryptroot", SYMLINK+="mapper/cryptroot"` + "\n"),
			"etc/udev/rules.d/62-snpguard.rules": []byte(initrd.UdevForeign),
			"scripts/local-premount/btrfs":       []byte("#!/bin/sh\nexit 0\n"),
		} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %.40q, %v", name, got, err)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, "snpguard/agent")); err != nil || info.Mode() != 0o755 {
			t.Errorf("agent: %v, %v", info, err)
		}
	}
}

// TestWrite has the segment alone, without what a distribution's programs need.
func TestWrite(t *testing.T) {
	for _, how := range initrd.Compressions() {
		var b bytes.Buffer
		if err := initrd.Write(&b, segment(), how); err != nil {
			t.Fatal(err)
		}
		info, err := initrd.Inspect(bytes.NewReader(b.Bytes()))
		if err != nil || !info.Agent || info.Init || info.Kind != initrd.UnknownKind || len(info.Segments) != 1 || info.Segments[0].Format != how || info.Segments[0].Entries != 6 {
			t.Errorf("%s: %+v, %v", how, info, err)
		}
	}
	if err := initrd.Write(io.Discard, initrd.Segment{}, decompress.None); !errors.Is(err, initrd.ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
	if err := initrd.Write(fullDisk{}, segment(), decompress.None); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

var errFull = errors.New("no space")

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestSegmentsOrderAndOwners(t *testing.T) {
	whole, offset := appended(t, debian(t), decompress.None)
	want := []string{"etc", "etc/udev", "etc/udev/rules.d", "etc/udev/rules.d/59-snpguard.rules", "etc/udev/rules.d/62-snpguard.rules",
		"scripts", "scripts/local-premount", "scripts/local-premount/btrfs", "snpguard", "snpguard/agent",
		"snpguard/config.json", "snpguard/modules", "snpguard/modules/000-dm_mod.ko", "snpguard/modules/001-dm_crypt.ko"}
	var names []string
	err := initrd.Walk(bytes.NewReader(whole[offset:]), func(h *cpio.Header, _ io.Reader) error {
		names = append(names, h.Name)
		if h.ModTime != 0 || h.UID != 0 || h.GID != 0 {
			t.Errorf("%+v", h)
		}
		return nil
	}, func(initrd.SegmentInfo) {})
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("entries %q, %v", names, err)
	}
}

func TestUnfitSegmentsAreRefused(t *testing.T) {
	for name, damage := range map[string]func(*initrd.Segment){
		"no agent":    func(s *initrd.Segment) { s.Agent = nil },
		"no config":   func(s *initrd.Segment) { s.Config = nil },
		"huge config": func(s *initrd.Segment) { s.Config = make([]byte, 256<<10+1) },
		"path":        func(s *initrd.Segment) { s.Modules[0].Name = "../../init" },
	} {
		s := segment()
		damage(&s)
		if _, err := initrd.Append(io.Discard, bytes.NewReader(debian(t)), s, decompress.None); !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := initrd.Append(io.Discard, bytes.NewReader(nil), segment(), decompress.None); !errors.Is(err, initrd.ErrMalformed) {
		t.Errorf("empty original: %v", err)
	}
	if _, err := initrd.Append(io.Discard, bytes.NewReader(debian(t)), segment(), decompress.LZ4); err == nil {
		t.Error("a segment in LZ4 was written")
	}
}

func TestInspect(t *testing.T) {
	for name, test := range map[string]struct {
		initrd  []byte
		kind    initrd.Kind
		systemd bool
		formats []decompress.Format
	}{
		"initramfs-tools":  {debian(t), initrd.InitramfsTools, false, []decompress.Format{decompress.None, decompress.Gzip}},
		"dracut":           {zipped(t, archive(t, "init", "usr/lib/dracut/hooks", "usr/lib/systemd/systemd")), initrd.Dracut, true, []decompress.Format{decompress.Gzip}},
		"unknown":          {archive(t, "init"), initrd.UnknownKind, false, []decompress.Format{decompress.None}},
		"several in a zip": {zipped(t, slices.Concat(archive(t, "early"), make([]byte, 12), archive(t, "init"))), initrd.UnknownKind, false, []decompress.Format{decompress.Gzip}},
	} {
		info, err := initrd.Inspect(bytes.NewReader(test.initrd))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var formats []decompress.Format
		for _, s := range info.Segments {
			formats = append(formats, s.Format)
		}
		if info.Kind != test.kind || info.Systemd != test.systemd || info.Agent || !info.Init || !slices.Equal(formats, test.formats) {
			t.Errorf("%s: %+v", name, info)
		}
	}
	whole, _ := appended(t, debian(t), decompress.Zstd)
	if info, err := initrd.Inspect(bytes.NewReader(whole)); err != nil || !info.Agent || len(info.Segments) != 3 || info.Segments[2].Entries != 14 {
		t.Errorf("after Append: %+v, %v", info, err)
	}
}

func TestBrokenInitrdsAreRefused(t *testing.T) {
	good := debian(t)
	for name, raw := range map[string][]byte{
		"empty":         nil,
		"zeros":         make([]byte, 4096),
		"no archive":    []byte("#!/bin/sh\n"),
		"cut":           good[:len(good)-20],
		"damaged":       []byte("\x1f\x8b\x08\x00 no"),
		"65 archives":   bytes.Repeat(archive(t, "a"), 65),
		"text in a zip": zipped(t, []byte("no archive")),
	} {
		if _, err := initrd.Inspect(bytes.NewReader(raw)); !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestKernelStops has what the kernel of a guest stops at, so that the agent
// behind it would never be unpacked.
func TestKernelStops(t *testing.T) {
	plain := archive(t, "./init")
	for want, raw := range map[string][]byte{
		`at byte 512: malformed initrd: "SIGNAT" starts no archive`: slices.Concat(plain, make([]byte, 512-len(plain)), []byte("SIGNATURE 1234\n")),
		"3 bytes after a multiple of 4":                             slices.Concat(plain, make([]byte, 3), plain),
		"1 bytes after a multiple of 4":                             zipped(t, slices.Concat(plain, make([]byte, 1), plain)),
		"is not an archive, from byte":                              zipped(t, slices.Concat(plain, []byte("text"))),
		"it unpacks to nothing":                                     zipped(t, nil),
		"xz --check=crc32":                                          program(t, plain, "xz", "--check=crc64", "-c"),
		"lz4 -l":                                                    program(t, plain, "lz4", "-q", "-c"),
		"is taken for another block":                                slices.Concat(program(t, plain, "lz4", "-q", "-l", "-c"), plain),
		`"x(\xb5/\xfd" starts no archive`:                           slices.Concat(program(t, plain, "zstd", "-q", "-c"), []byte("x(\xb5/\xfd")),
		"archive 2 of initrd":                                       slices.Concat(zipped(t, plain), []byte("\x00junk")),
	} {
		_, err := initrd.Inspect(bytes.NewReader(raw))
		if !errors.Is(err, initrd.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestKernelGoesOn has the forms that distributions use, in rows: behind each the
// kernel finds the next.
func TestKernelGoesOn(t *testing.T) {
	plain := archive(t, "./init")
	row := slices.Concat(plain, make([]byte, 512-len(plain)), zipped(t, plain), make([]byte, 5),
		program(t, plain, "xz", "--check=crc32", "-c"), program(t, plain, "zstd", "-q", "-c"), program(t, plain, "lz4", "-q", "-l", "-c"))
	for extra := range 8 {
		whole, _ := appended(t, append(bytes.Clone(row), make([]byte, extra)...), decompress.None)
		info, err := initrd.Inspect(bytes.NewReader(whole))
		if err != nil || !info.Agent || len(info.Segments) != 6 {
			t.Errorf("%d zeros behind it: %+v, %v", extra, info, err)
		}
	}
}

func program(tb testing.TB, content []byte, args ...string) []byte {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), args[0], args[1:]...)
	cmd.Stdin = bytes.NewReader(content)
	packed, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s (Debian packages xz-utils, lz4, zstd): %v", args, err)
	}
	return packed
}

// TestBounds lowers those of Walk to what a test can reach: the first archive
// ends where no more may be unpacked, or holds as many files as there may be.
func TestBounds(t *testing.T) {
	first, second := archive(t, "a", "b"), archive(t, "c")
	whole, both := int64(len(first)+len(second)+1), zipped(t, slices.Concat(first, second))
	for name, test := range map[string]struct {
		bytes   int64
		entries int
		initrd  []byte
		want    string
	}{
		"enough":                 {whole, 3, both, "<nil>"},
		"too many bytes":         {int64(len(first)), 3, both, "it unpacks to more than"},
		"too many files":         {whole, 2, both, "more than 1048576 files"},
		"too many in plain ones": {whole, 2, slices.Concat(first, second), "more than 1048576 files"},
	} {
		err := initrd.WalkWithin(test.bytes, test.entries, bytes.NewReader(test.initrd))
		if !strings.Contains(fmt.Sprint(err), test.want) || err != nil && !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWalkEndsWithItsCaller(t *testing.T) {
	enough, called := errors.New("enough"), 0
	entry := func(*cpio.Header, io.Reader) error { called++; return enough }
	if err := initrd.Walk(bytes.NewReader(debian(t)), entry, func(initrd.SegmentInfo) {}); !errors.Is(err, enough) || called != 1 {
		t.Errorf("%v after %d files", err, called)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(debian(f))
	whole, _ := appended(f, debian(f), decompress.Zstd)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := initrd.Inspect(bytes.NewReader(raw)); err != nil && !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}
