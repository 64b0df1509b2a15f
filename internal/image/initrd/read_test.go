package initrd_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/decompress"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/kmod"
)

func ours() initrd.Segment {
	return initrd.Segment{Agent: bytes.Repeat([]byte("agent"), 1000), Config: []byte("{}\n"), Modules: []kmod.Module{
		{Name: "dm_mod", Data: []byte("first")}, {Name: "dm_crypt", Data: []byte("second")},
	}}
}

func wrote(tb testing.TB, s initrd.Segment, how decompress.Format) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := initrd.Write(&b, s, how); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestReadIsTheInverseOfWrite(t *testing.T) {
	for _, how := range initrd.Compressions() {
		s, format, err := initrd.Read(bytes.NewReader(wrote(t, ours(), how)))
		if err != nil || format != how {
			t.Errorf("%s: %s, %v", how, format, err)
			continue
		}
		want := ours()
		if !bytes.Equal(s.Agent, want.Agent) || !bytes.Equal(s.Config, want.Config) || len(s.Modules) != 2 ||
			s.Modules[0].Name != "dm_mod" || s.Modules[1].Name != "dm_crypt" || string(s.Modules[1].Data) != "second" {
			t.Errorf("%s: read %+v", how, s)
		}
	}
}

func zstdOf(tb testing.TB, content []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

func entries(tb testing.TB, add func(*cpio.Writer) error) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	if err := errors.Join(add(w), w.Close()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestHiddenFilesAreRefused hides files that the kernel would unpack in all places that
// an initrd has for them.
func TestHiddenFilesAreRefused(t *testing.T) {
	plain, packed := wrote(t, ours(), decompress.None), wrote(t, ours(), decompress.Zstd)
	evil := entries(t, func(w *cpio.Writer) error {
		return w.Add(cpio.Header{Name: "snpguard/agent", Mode: cpio.ModeRegular | 0o755}, []byte("evil"))
	})
	const trailer = 124 // of newc, with its padding
	within := func(h cpio.Header, content string) []byte {
		more := entries(t, func(w *cpio.Writer) error { return w.Add(h, []byte(content)) })
		return slices.Concat(plain[:len(plain)-trailer], more)
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Name = "x"
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var xzed bytes.Buffer
	x, err := xz.NewWriter(&xzed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	mode := bytes.Replace(plain, []byte("000081ED"), []byte("000089ED"), 1) // set-user-ID
	for name, content := range map[string][]byte{
		"second cpio, plain":                  slices.Concat(plain, evil),
		"second cpio in the same frame":       zstdOf(t, slices.Concat(plain, evil)),
		"second cpio after zeros, same frame": zstdOf(t, slices.Concat(plain, make([]byte, 512), evil)),
		"cpio before it, same frame":          zstdOf(t, slices.Concat(evil, plain)),
		"second frame":                        slices.Concat(packed, zstdOf(t, evil)),
		"plain cpio behind the frame":         slices.Concat(packed, make([]byte, -len(packed)&3), evil),
		"frame behind a plain cpio":           slices.Concat(plain, zstdOf(t, evil)),
		"cpio before the frame":               slices.Concat(evil, packed),
		"zeros before the frame":              slices.Concat(make([]byte, 4), packed),
		"zeros behind the frame":              slices.Concat(packed, make([]byte, 4)),
		"zeros behind the archive":            zstdOf(t, slices.Concat(plain, make([]byte, 4))),
		"a byte behind the frame":             slices.Concat(packed, []byte("x")),
		"skippable frame before it":           slices.Concat([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00evil"), packed),
		"another agent over the first":        within(cpio.Header{Name: "snpguard/agent", Mode: cpio.ModeRegular | 0o755}, "evil"),
		"another agent by another name":       within(cpio.Header{Name: "./snpguard/agent", Mode: cpio.ModeRegular | 0o755}, "evil"),
		"link over the agent's directory":     within(cpio.Header{Name: "snpguard", Mode: cpio.ModeSymlink | 0o777}, "/tmp"),
		"an init":                             within(cpio.Header{Name: "init", Mode: cpio.ModeRegular | 0o755}, "evil"),
		"one more directory":                  within(cpio.Header{Name: "snpguard/etc", Mode: cpio.ModeDir | 0o755}, ""),
		"a device":                            within(cpio.Header{Name: "sda", Mode: 0o060600}, ""),
		"module out of order":                 within(cpio.Header{Name: "snpguard/modules/007-evil.ko", Mode: cpio.ModeRegular | 0o644}, "evil"),
		"other permissions":                   mode,
		"no agent":                            entries(t, func(*cpio.Writer) error { return nil }),
		"cut off":                             packed[:len(packed)-8],
		"cut off, plain":                      plain[:len(plain)-trailer],
		"nothing":                             nil,
		"not an archive":                      []byte("initrd"),
		"a compression that is never written": xzed.Bytes(),
	} {
		if s, _, err := initrd.Read(bytes.NewReader(content)); !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
	// The frame may have been written by another compressor: the archive counts.
	for name, content := range map[string][]byte{"zstd": zstdOf(t, plain), "gzip": gz.Bytes()} {
		if _, _, err := initrd.Read(bytes.NewReader(content)); err != nil {
			t.Errorf("%s at another level: %v", name, err)
		}
	}
}

// FuzzRead wants of what is read that writing it gives the same archive.
func FuzzRead(f *testing.F) {
	for _, how := range initrd.Compressions() {
		f.Add(wrote(f, ours(), how))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s, format, err := initrd.Read(bytes.NewReader(content))
		if err != nil {
			if !errors.Is(err, initrd.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		if again := wrote(t, *s, decompress.None); format == decompress.None && !bytes.Equal(again, content) {
			t.Error("read what is not written")
		}
	})
}
