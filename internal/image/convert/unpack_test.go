package convert

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// packedBy compresses with what a writer does.
func packedBy[W io.WriteCloser](t testing.TB, open func(io.Writer) (W, error), content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t testing.TB, content []byte) []byte {
	return packedBy(t, func(w io.Writer) (*gzip.Writer, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }, content)
}

func xzOf(t testing.TB, content []byte) []byte { return packedBy(t, xz.NewWriter, content) }

func zstdOf(t testing.TB, content []byte) []byte {
	return packedBy(t, func(w io.Writer) (*zstd.Encoder, error) { return zstd.NewWriter(w) }, content)
}

func bzip2Of(t testing.TB, content []byte) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bzip2", "--compress")
	cmd.Stdin = bytes.NewReader(content)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bzip2 (Debian package bzip2): %v", err)
	}
	return out
}

// member is a file of an archive.
type member struct {
	name    string
	content []byte
	kind    byte
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.content)), Typeflag: m.kind}
		if m.kind == tar.TypeSymlink || m.kind == tar.TypeLink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// smallDisk starts as a disk with a partition table does.
func smallDisk(fill byte) []byte {
	disk := make([]byte, 3*packedBuffer+512)
	disk[510], disk[511], disk[512], disk[len(disk)-512] = 0x55, 0xAA, fill, fill
	return disk
}

// unpackBytes unpacks a source and returns the disk image and all files that are
// then there.
func unpackBytes(t testing.TB, source []byte) (image []byte, how string, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "source")
	if err := os.WriteFile(path, source, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := unpack(context.Background(), path, filepath.Join(dir, "work"), silent{})
	if err != nil {
		return nil, "", err
	}
	if image, err = os.ReadFile(u.path); err != nil {
		t.Fatal(err)
	}
	return image, u.how, nil
}

func TestUnpack(t *testing.T) {
	disk := smallDisk(1)
	half := len(disk) / 2
	ova := tarOf(t, member{name: "a.ovf", content: []byte("<Envelope/>")}, member{name: "a.mf", content: []byte("SHA256(a.ovf)= 00")}, member{name: "a.vmdk", content: disk})
	for how, source := range map[string][]byte{
		"": disk, "gzip": gzipOf(t, disk), "xz": xzOf(t, disk), "zstd": zstdOf(t, disk), "bzip2": bzip2Of(t, disk),
		"lz4": packedBy(t, func(w io.Writer) (*lz4.Writer, error) { return lz4.NewWriter(w), nil }, disk),
		"tar": ova, "xz, tar": xzOf(t, tarOf(t, member{name: "disk.raw", content: disk})), "gzip, tar": gzipOf(t, tarOf(t, member{name: "../../etc/disk", content: disk})),
		"tar, gzip":      tarOf(t, member{name: "readme.gz", content: gzipOf(t, []byte("read me"))}, member{name: "disk.gz", content: gzipOf(t, disk)}),
		"xz, tar, zstd":  xzOf(t, tarOf(t, member{name: "d", kind: tar.TypeDir}, member{name: "/abs", kind: tar.TypeSymlink}, member{name: "disk.zst", content: zstdOf(t, disk)})),
		"gzip of parts":  append(gzipOf(t, disk[:half]), gzipOf(t, disk[half:])...),
		"xz of parts":    append(xzOf(t, disk[:half]), xzOf(t, disk[half:])...),
		"gzip of zeros":  gzipOf(t, make([]byte, len(disk))),
		"zstd of frames": append(zstdOf(t, disk[:half]), zstdOf(t, disk[half:])...),
	} {
		image, got, err := unpackBytes(t, source)
		want, _, _ := strings.Cut(how, " of ")
		if err != nil || got != want || !bytes.Equal(image, disk) && how != "gzip of zeros" || len(image) != len(disk) {
			t.Errorf("%s: %q, %d bytes, %v", how, got, len(image), err)
		}
	}
}

// TestUnfitPackages has sources in which there is not one disk image, or that are not
// whole.
func TestUnfitPackages(t *testing.T) {
	disk := smallDisk(1)
	many := tarOf(t, make([]member, maxMembers+1)...)
	nested := disk
	for range maxLayers + 1 {
		nested = gzipOf(t, nested)
	}
	cut := func(b []byte) []byte { return b[:len(b)-20] }
	for want, source := range map[string][]byte{
		`several disk images in it, "a.raw", "b.raw", and one`: tarOf(t, member{name: "a.raw", content: disk}, member{name: "b.raw", content: smallDisk(2)}),
		"it contains no disk image":                            tarOf(t, member{name: "a.ovf", content: []byte("<Envelope/>")}, member{name: "link", kind: tar.TypeSymlink}),
		"more than 4096 files":                                 many,
		"more than 4 layers":                                   nested,
		"it is a zip archive":                                  []byte("PK\x03\x04 and more"),
		"it is a 7z archive":                                   []byte("7z\xbc\xaf\x27\x1c and more"),
		"malformed compressed data: gzip":                      cut(gzipOf(t, disk)),
		"malformed compressed data: xz":                        cut(xzOf(t, disk)),
		"malformed compressed data: zstd":                      cut(zstdOf(t, disk)),
		"malformed compressed data: bzip2":                     cut(bzip2Of(t, disk)),
		"trailing data":                                        append(gzipOf(t, disk), "more"...),
		"unexpected EOF":                                       tarOf(t, member{name: "a.raw", content: disk})[:packedBuffer],
		"xz: ":                                                 append(xzOf(t, disk), "trailing bytes"...),
	} {
		_, _, err := unpackBytes(t, source)
		if !errors.Is(err, errPacked) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "give the disk image itself") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestBombs has sources that go on for longer than any disk image, in one layer or
// through several.
func TestBombs(t *testing.T) {
	bomb := gzipOf(t, make([]byte, 8<<20))
	for name, source := range map[string][]byte{
		"compressed": bomb, "twice": gzipOf(t, bomb), "in an archive": tarOf(t, member{name: "disk.gz", content: bomb}),
		"beside a disk": gzipOf(t, tarOf(t, member{name: "disk", content: smallDisk(1)}, member{name: "zeros", content: make([]byte, 8<<20)})),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "source")
		if err := os.WriteFile(path, source, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		u := &unpacker{ctx: context.Background(), target: filepath.Join(dir, "image"), most: 4 << 20}
		if err := u.layer(u.bounded(f), "", nil); err == nil || !strings.Contains(err.Error(), "more than 4 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	u := &unpacker{ctx: ctx, target: filepath.Join(t.TempDir(), "image"), most: 1 << 40}
	if err := u.layer(u.bounded(bytes.NewReader(bomb)), "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestConvertPacked converts a compressed image in an archive. What is recorded of the
// source is the file that was given.
func TestConvertPacked(t *testing.T) {
	disk, err := os.ReadFile(tinyImage(t, tinyTree(t)))
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "disk.tar.gz")
	if err := os.WriteFile(source, gzipOf(t, tarOf(t, member{name: "disk.raw", content: disk})), 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ := tinyOptions(t, source)
	events := &recorder{}
	o.Events = events
	c, err := Convert(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hashFile(context.Background(), source)
	if err != nil || c.Source.Path != "disk.tar.gz" || c.Source.SHA256 != sum || c.Kernel != tinyRelease {
		t.Errorf("%+v, %v", c, err)
	}
	if got := outputs(t, o); len(got) != 2 {
		t.Errorf("left %q", got)
	}
	if told := strings.Join(append(events.steps, events.notes...), "\n"); !strings.Contains(told, "Unpack disk.tar.gz") || !strings.Contains(told, "(gzip, tar)") {
		t.Errorf("told %q", told)
	}
	found, err := Inspect(context.Background(), source, nil)
	if err != nil || found.Packed != "gzip, tar" || found.Kernel != tinyRelease || len(found.Problems) > 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func FuzzUnpack(f *testing.F) {
	disk := make([]byte, 1024)
	disk[510], disk[511] = 0x55, 0xAA
	archive := tarOf(f, member{name: "a.ovf", content: []byte("<Envelope/>")}, member{name: "disk", content: disk})
	for _, seed := range [][]byte{disk, archive, gzipOf(f, archive), xzOf(f, disk), zstdOf(f, archive), []byte("PK\x03\x04"), []byte("BZh9")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		u := &unpacker{ctx: context.Background(), target: filepath.Join(t.TempDir(), "image"), most: 1 << 20}
		if err := u.layer(u.bounded(bytes.NewReader(source)), "", nil); err != nil {
			return
		}
		entries, err := os.ReadDir(filepath.Dir(u.target))
		if err != nil || len(entries) > 1 || len(entries) != min(len(u.disks), 1) {
			t.Errorf("%d files, %d disks, %v", len(entries), len(u.disks), err)
		}
	})
}
