package qemu_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

// goldenOverlay makes a golden image and an overlay on it in a directory of their own.
func goldenOverlay(t *testing.T, format string, options ...string) qemu.Files {
	t.Helper()
	dir := t.TempDir()
	save(t, filepath.Join(dir, "raw"), content())
	run(t, dir, "qemu-img", "convert", "-f", "raw", "-O", format, "raw", "golden")
	run(t, dir, "qemu-img", append([]string{"create", "-q", "-f", "qcow2", "-b", "golden", "-F", format, "overlay"}, options...)...)
	return qemu.Files{Image: filepath.Join(dir, "overlay"), Backing: filepath.Join(dir, "golden")}
}

// names puts the name of a backing file into an overlay's header, which qemu-img
// would look at.
func names(t *testing.T, path, name string) {
	t.Helper()
	b := load(t, path)
	const at = 1024 // in the first cluster, behind header and extensions
	copy(b[at:], name)
	binary.BigEndian.PutUint64(b[8:], at)
	binary.BigEndian.PutUint32(b[16:], uint32(len(name)))
	save(t, path, b)
}

// TestOverlay changes overlays of golden images, which stay as they are.
func TestOverlay(t *testing.T) {
	for name, files := range map[string]qemu.Files{
		"qcow2": goldenOverlay(t, "qcow2"), "raw": goldenOverlay(t, "raw"), "larger": goldenOverlay(t, "qcow2", "16M"), "version 2": goldenOverlay(t, "qcow2", "-o", "compat=0.10"),
	} {
		golden := load(t, files.Backing)
		s, err := files.Probe()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w, err := qemu.OpenWritable(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		piece := []byte("of the overlay")
		_, err = w.WriteAt(piece, s.VirtualSize-1<<20)
		if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := append(content(), make([]byte, s.VirtualSize-int64(len(content())))...)
		copy(want[s.VirtualSize-1<<20:], piece)
		if s, err = files.Probe(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := make([]byte, len(want))
		if _, err := open(t, s).ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: read back: %v", name, err)
		}
		if !bytes.Equal(load(t, files.Backing), golden) {
			t.Errorf("%s: the golden image has changed", name)
		}
	}
}

// TestGoldenImageInUse: many overlays are used at a time, and what they lie on is not
// changed meanwhile.
func TestGoldenImageInUse(t *testing.T) {
	files := goldenOverlay(t, "qcow2")
	second := qemu.Files{Image: files.Image + "-2", Backing: files.Backing}
	run(t, filepath.Dir(files.Image), "qemu-img", "create", "-q", "-f", "qcow2", "-b", "golden", "-F", "qcow2", second.Image)
	for _, f := range []qemu.Files{files, second} {
		s, err := f.Probe()
		if err != nil {
			t.Fatal(err)
		}
		w, err := qemu.OpenWritable(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
	}
	golden, err := qemu.Files{Image: files.Backing}.Probe()
	if err != nil {
		t.Fatal(err)
	}
	_, err = qemu.OpenWritable(t.Context(), golden)
	if !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "lock") || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want that of the lock alone", err)
	}
}

// TestHeaderOfOverlayIsNotFollowed: whatever an overlay's header names as its backing
// file, nothing but the named golden image is read.
func TestHeaderOfOverlayIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	save(t, secret, bytes.Repeat([]byte("secret of the host"), 1<<16))
	for _, name := range []string{
		"/etc/shadow", secret, "../../../../etc/shadow", "golden", "file:" + secret, "nbd://127.0.0.1:1/x", "nbd:unix:/run/x", "ssh://host/x", "https://host/x",
		`json:{"driver":"raw","file":{"driver":"file","filename":"` + secret + `"}}`, "fat:rw:" + dir, "\x00", "a\nb", "/dev/zero",
	} {
		files := goldenOverlay(t, "raw")
		names(t, files.Image, name)
		_, err := qemu.Files{Image: files.Image}.Probe()
		if !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "--backing FILE") {
			t.Errorf("%q without a named file: %v", name, err)
		}
		if strings.ContainsAny(err.Error(), "\x00\n") {
			t.Errorf("%q is shown as it is: %q", name, err)
		}
		s, err := files.Probe()
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := make([]byte, len(content()))
		if _, err := open(t, s).ReadAt(got, 0); err != nil || !bytes.Equal(got, content()) {
			t.Errorf("%q: %v, or other bytes than the golden image's", name, err)
		}
	}
}

// TestHostileOverlays are refused before any tool sees them.
func TestHostileOverlays(t *testing.T) {
	// feature sets an incompatible feature.
	feature := func(path string, bit byte) {
		b := load(t, path)
		b[79] |= bit
		save(t, path, b)
	}
	for name, tc := range map[string]struct {
		change func(f *qemu.Files)
		says   string
	}{
		"data file of the overlay":      {func(f *qemu.Files) { feature(f.Image, 4) }, "its data is in another file"},
		"data file of the golden image": {func(f *qemu.Files) { feature(f.Backing, 4) }, "its data is in another file"},
		"overlay of an overlay": {func(f *qemu.Files) {
			next := filepath.Join(filepath.Dir(f.Image), "next")
			run(t, filepath.Dir(f.Image), "qemu-img", "create", "-q", "-f", "qcow2", "-b", "overlay", "-F", "qcow2", next)
			f.Image, f.Backing = next, f.Image
		}, "it is an overlay itself"},
		"golden image that reaches out": {func(f *qemu.Files) { names(t, f.Backing, "/etc/shadow") }, "it is an overlay itself"},
		"on itself":                     {func(f *qemu.Files) { f.Backing = f.Image }, "loop"},
		"on itself by a link": {func(f *qemu.Files) {
			link := f.Image + "-link"
			if err := os.Symlink(f.Image, link); err != nil {
				t.Fatal(err)
			}
			f.Backing = link
		}, "loop"},
		"no overlay":           {func(f *qemu.Files) { f.Image, f.Backing = f.Backing, f.Image }, "it has no backing file; leave out --backing"},
		"a raw image":          {func(f *qemu.Files) { f.Image = filepath.Join(filepath.Dir(f.Image), "raw") }, "leave out --backing"},
		"of another format":    {func(f *qemu.Files) { f.Backing = filepath.Join(filepath.Dir(f.Image), "raw") }, `it is in format raw, and the overlay was made on an image in format "qcow2"`},
		"a device":             {func(f *qemu.Files) { f.Backing = "/dev/zero" }, "not a regular file"},
		"another kind of disk": {func(f *qemu.Files) { save(t, f.Backing, append([]byte("KDMV"), make([]byte, 1<<20)...)) }, "it is in format vmdk, want qcow2 or raw"},
		"smaller than the golden image": {func(f *qemu.Files) {
			run(t, filepath.Dir(f.Image), "qemu-img", "resize", "-q", "--shrink", f.Image, "4M")
		}, "its disk of 9 MiB does not fit into the overlay's 4 MiB"},
	} {
		files := goldenOverlay(t, "qcow2")
		tc.change(&files)
		if _, err := files.Probe(); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want one that says %q", name, err, tc.says)
		}
	}
	files := goldenOverlay(t, "qcow2")
	for _, name := range []string{"nbd://127.0.0.1/", `json:{"driver":"null-co"}`} {
		if _, err := (qemu.Files{Image: files.Image, Backing: name}).Probe(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("--backing %s: %v", name, err)
		}
	}
}
