package bootdiff_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/bootdiff"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/cpio"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/initrd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/osinfo"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/releasediff"
)

// kernel makes the start of a bzImage.
func kernel(release string) []byte {
	image := make([]byte, 0x300)
	copy(image[0x202:], "HdrS")
	image[0x20F] = 0x00
	image[0x20E] = 0x20
	copy(image[0x220:], release+" (builder)\x00")
	return image
}

// file is an entry of an initrd.
type file struct{ name, content string }

// archive makes one archive.
func archive(tb testing.TB, files ...file) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for _, f := range files {
		if err := w.Add(cpio.Header{Name: f.name, Mode: cpio.ModeRegular | 0o644}, []byte(f.content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return append(b.Bytes(), make([]byte, -b.Len()&3)...)
}

func compare(a, b []byte) ([]string, error) {
	changes, err := bootdiff.Compare(
		bootdiff.Boot{Kernel: bytes.NewReader(kernel("6.1")), Initrd: bytes.NewReader(a)},
		bootdiff.Boot{Kernel: bytes.NewReader(kernel("6.1")), Initrd: bytes.NewReader(b)})
	return told(changes), err
}

// told returns what differs and in which way: gone, new or changed.
func told(changes []releasediff.Change) []string {
	var all []string
	for _, c := range changes {
		way := "changed"
		switch {
		case c.Old == "":
			way = "new"
		case c.New == "":
			way = "gone"
		}
		all = append(all, fmt.Sprintf("%s %s: %s", c.What, c.Name, way))
	}
	return all
}

func TestCompare(t *testing.T) {
	base := []file{{"init", "i"}, {"snpguard/modules/000-dm_mod.ko", "d"}, {"snpguard/modules/001-virtio.ko", "v"}, {"usr/lib/modules/6.1/kernel/ext4.ko.xz", "e"}}
	first := archive(t, base...)
	with := func(i int, f file) []byte {
		files := slices.Clone(base)
		files[i] = f
		return archive(t, files...)
	}
	for name, tc := range map[string]struct {
		second []byte
		want   []string
	}{
		"the same":                {first, nil},
		"a file":                  {with(0, file{"init", "x"}), []string{"initrd file init: changed"}},
		"another file":            {with(0, file{"sbin/init", "i"}), []string{"initrd file init: gone", "initrd file sbin/init: new"}},
		"a module":                {with(1, file{"snpguard/modules/000-dm_mod.ko", "x"}), []string{"module dm_mod.ko: changed"}},
		"a module of the next":    {with(3, file{"usr/lib/modules/6.2/kernel/ext4.ko.xz", "e"}), nil},
		"another module":          {with(2, file{"snpguard/modules/001-nvme.ko", "v"}), []string{"module nvme.ko: new", "module virtio.ko: gone"}},
		"a file that comes twice": {archive(t, append(slices.Clone(base), file{"init", "hidden"})...), []string{"initrd file init (entry 2): new"}},
		"another order": {archive(t, base[0], file{"snpguard/modules/000-virtio.ko", "v"}, file{"snpguard/modules/001-dm_mod.ko", "d"}, base[3]),
			[]string{"order of modules : changed"}},
		"a second archive": {append(slices.Clone(first), archive(t, file{"snpguard/agent", "a"})...), []string{"initrd file snpguard/agent: new"}},
		"nothing":          {nil, []string{"module dm_mod.ko: gone", "module kernel/ext4.ko.xz: gone", "module virtio.ko: gone", "initrd file init: gone"}},
	} {
		got, err := compare(first, tc.second)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tc.want)
		}
	}
}

func TestKernelVersion(t *testing.T) {
	boot := func(release string) bootdiff.Boot {
		return bootdiff.Boot{Kernel: bytes.NewReader(kernel(release)), Initrd: strings.NewReader("")}
	}
	got, err := bootdiff.Compare(boot("6.12.1-amd64"), boot("6.12.2-amd64"))
	if want := (releasediff.Change{What: "kernel version", Old: "6.12.1-amd64", New: "6.12.2-amd64"}); err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := bootdiff.Compare(boot("6.1"), bootdiff.Boot{Kernel: strings.NewReader("ELF"), Initrd: strings.NewReader("")}); !errors.Is(err, osinfo.ErrMalformed) {
		t.Errorf("a kernel that is none: got %v", err)
	}
}

// TestHostile refuses initrds that are broken, or take all memory.
func TestHostile(t *testing.T) {
	for _, broken := range []string{"x", "070701", strings.Repeat("0", 200)} {
		if _, err := compare(archive(t), []byte(broken)); !errors.Is(err, initrd.ErrMalformed) {
			t.Errorf("%q: got %v", broken, err)
		}
	}
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	for n := range 9000 {
		if err := w.Add(cpio.Header{Name: fmt.Sprintf("%04d", n) + strings.Repeat("n", 4000), Mode: cpio.ModeRegular}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := compare(archive(t), b.Bytes()); !errors.Is(err, bootdiff.ErrTooLarge) {
		t.Errorf("names without end: got %v", err)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add(archive(f, file{"init", "i"}), archive(f, file{"init", "j"}))
	f.Add([]byte(""), []byte("x"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		one, err := compare(a, b)
		other, otherErr := compare(b, a)
		if (err == nil) != (otherErr == nil) || err == nil && len(one) != len(other) {
			t.Errorf("%q and %q, %v and %v", one, other, err, otherErr)
		}
		if same, err := compare(a, a); err == nil && len(same) != 0 {
			t.Errorf("differs from itself: %q", same)
		}
	})
}
