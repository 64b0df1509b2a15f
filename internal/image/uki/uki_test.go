package uki_test

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/uki/ukitest"
)

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

// sample is an image with all that counts.
func sample() []ukitest.Section {
	return []ukitest.Section{
		{".text", "a stub"}, {uki.Release, "ID=debian\n"}, {uki.Cmdline, " root=/dev/vda1\nquiet \x00"}, {uki.Uname, "6.12.1-amd64"},
		{uki.Linux, "the kernel"}, {uki.Initrd, strings.Repeat("initrd", 200)},
	}
}

func TestImage(t *testing.T) {
	image, err := uki.Open(fstest.MapFS{"a.efi": file(ukitest.Image(sample()...))}, "a.efi")
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close() //nolint:errcheck // it was only read
	if line, err := image.CommandLine(); line != "root=/dev/vda1 quiet" || err != nil {
		t.Errorf("command line %q, %v", line, err)
	}
	for name, want := range map[string]string{uki.Linux: "the kernel", uki.Initrd: strings.Repeat("initrd", 200), uki.Uname: "6.12.1-amd64", uki.Microcode: ""} {
		got, err := io.ReadAll(image.Section(name))
		if string(got) != want || err != nil || image.Has(name) != (want != "") {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

// TestProfiles has an image with a second set of sections, and one whose first
// profile replaces the command line.
func TestProfiles(t *testing.T) {
	all := append(sample(), ukitest.Section{".profile", "ID=main"}, ukitest.Section{uki.Cmdline, "main"},
		ukitest.Section{".profile", "ID=factory-reset"}, ukitest.Section{uki.Cmdline, "reset"})
	image, err := uki.Open(fstest.MapFS{"a.efi": file(ukitest.Image(all...))}, "a.efi")
	if err != nil {
		t.Fatal(err)
	}
	if line, err := image.CommandLine(); line != "main" || err != nil || image.Profiles != 1 || !image.Has(uki.Linux) {
		t.Errorf("%q, %v, %d", line, err, image.Profiles)
	}
}

// TestHostileImages has programs whose tables lie.
func TestHostileImages(t *testing.T) {
	entry := func(n int) int { return ukitest.TableAt + n*ukitest.EntrySize }
	put := func(at int, value uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], value) }
	}
	for name, test := range map[string]struct {
		spoil func([]byte)
		want  error
	}{
		"no DOS header":            {func(b []byte) { b[0] = 'N' }, uki.ErrNot},
		"header outside":           {put(0x3C, 0xFFFFFFF0), uki.ErrNot},
		"no signature":             {put(0x40, 0), uki.ErrNot},
		"another processor":        {func(b []byte) { b[0x44] = 0x4C }, uki.ErrNot},
		"32 bits":                  {func(b []byte) { b[0x40+24] = 0x0B; b[0x40+25] = 0x01 }, uki.ErrNot},
		"many sections":            {func(b []byte) { b[0x46], b[0x47] = 0xFF, 0xFF }, uki.ErrMalformed},
		"a section outside":        {put(entry(4)+20, 0x7FFFFE00), uki.ErrMalformed},
		"a section beyond the end": {put(entry(5)+16, 0xFFFFFFFF), uki.ErrMalformed},
		"a section over another":   {put(entry(5)+20, 4096+512*4), uki.ErrMalformed},
		"a section in the headers": {put(entry(4)+20, 0), uki.ErrMalformed},
		"more than is stored":      {put(entry(4)+8, 513), uki.ErrMalformed},
		"a huge section":           {put(entry(4)+8, 0xFFFFFFFF), uki.ErrMalformed},
		"a section twice":          {func(b []byte) { copy(b[entry(0):], ".linux\x00\x00") }, uki.ErrMalformed},
		"cut off":                  {func(b []byte) { clear(b[0x40:]) }, uki.ErrNot},
	} {
		data := []byte(ukitest.Image(sample()...))
		test.spoil(data)
		if _, err := uki.Open(fstest.MapFS{"a.efi": file(string(data))}, "a.efi"); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := ukitest.Image(sample()...)
	for _, length := range []int{0, 1, 63, 64, 0x50, ukitest.TableAt, ukitest.TableAt + 50, 4096, len(whole) - 1} {
		if _, err := uki.Open(fstest.MapFS{"a.efi": file(whole[:length])}, "a.efi"); !errors.Is(err, uki.ErrNot) && !errors.Is(err, uki.ErrMalformed) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	for name, text := range map[string]string{"binary": "a\x00b", "large": strings.Repeat("x", 64<<10+1)} {
		image, err := uki.Open(fstest.MapFS{"a.efi": file(ukitest.Image(ukitest.Section{uki.Cmdline, text}))}, "a.efi")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := image.CommandLine(); !errors.Is(err, uki.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFS(t *testing.T) {
	fsys := uki.FS(fstest.MapFS{"EFI/Linux/a.EFI": file(ukitest.Image(sample()...)), "EFI/Linux/plain": file("plain"), "dir.efi/.linux": file("a file")})
	for name, want := range map[string]string{"EFI/Linux/a.EFI/.linux": "the kernel", "EFI/Linux/plain": "plain", "dir.efi/.linux": "a file"} {
		got, err := fs.ReadFile(fsys, name)
		info, statErr := fs.Stat(fsys, name)
		if string(got) != want || err != nil || statErr != nil || info.Size() != int64(len(want)) {
			t.Errorf("%s: %q, %v, %v", name, got, err, statErr)
		}
	}
	for _, name := range []string{"EFI/Linux/a.EFI/.ucode", "EFI/Linux/a.EFI/.text", "EFI/Linux/plain/.linux", "EFI/Linux/none.efi/.linux", ".linux"} {
		if _, err := fsys.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAddons takes those for the image's kernel, in the order of their names.
func TestAddons(t *testing.T) {
	addon := func(line, uname string) *fstest.MapFile {
		return file(ukitest.Image(ukitest.Section{uki.Cmdline, line}, ukitest.Section{uki.Uname, uname}))
	}
	fsys := fstest.MapFS{
		"d/b.addon.efi": addon("b", ""), "d/a.addon.efi": addon("a", "6.12.1"), "d/other.addon.efi": addon("other", "5.10"),
		"d/no.addon.efi": file("text"), "d/c.efi": addon("c", ""),
	}
	found, err := uki.Addons(fsys, "d", "6.12.1")
	var lines []string
	for _, a := range found {
		lines = append(lines, a.Cmdline)
	}
	if err != nil || !slices.Equal(lines, []string{"a", "b"}) {
		t.Errorf("%q, %v", lines, err)
	}
	if found, err := uki.Addons(fsys, "none", ""); len(found) != 0 || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	for i := range 65 {
		fsys["d/"+strings.Repeat("x", i+1)+".addon.efi"] = addon("x", "")
	}
	if _, err := uki.Addons(fsys, "d", ""); !errors.Is(err, uki.ErrMalformed) {
		t.Errorf("a crowd: %v", err)
	}
}

func FuzzUKI(f *testing.F) {
	whole := ukitest.Image(sample()...)
	f.Add([]byte(whole))
	f.Add([]byte(whole[:ukitest.TableAt+ukitest.EntrySize]))
	f.Add([]byte(ukitest.Image(append(sample(), ukitest.Section{".profile"}, ukitest.Section{uki.Cmdline, "x"})...)))
	f.Fuzz(func(t *testing.T, data []byte) {
		image, err := uki.Open(fstest.MapFS{"a.efi": {Data: data}}, "a.efi")
		if err != nil {
			if !errors.Is(err, uki.ErrNot) && !errors.Is(err, uki.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		all := 0
		for _, name := range []string{uki.Linux, uki.Initrd, uki.Microcode, uki.Cmdline, uki.Release, uki.Uname} {
			content, err := io.ReadAll(image.Section(name))
			if all += len(content); err != nil || (len(content) > 0) != image.Has(name) {
				t.Errorf("%s: %d bytes, %v", name, len(content), err)
			}
		}
		if all > len(data) {
			t.Errorf("%d bytes of %d: sections overlap", all, len(data))
		}
		_, _ = image.CommandLine()
	})
}
