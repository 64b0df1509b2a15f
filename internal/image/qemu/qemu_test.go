package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
)

func TestEveryFormatIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		options []string
		format  qemu.Format
		cluster int
	}{
		"raw":                 {[]string{"-O", "raw"}, qemu.Raw, 0},
		"qcow2 v3":            {[]string{"-O", "qcow2"}, qemu.QCOW2, 64 << 10},
		"qcow2 v2":            {[]string{"-O", "qcow2", "-o", "compat=0.10"}, qemu.QCOW2, 64 << 10},
		"qcow2 deflate":       {[]string{"-c", "-O", "qcow2"}, qemu.QCOW2, 64 << 10},
		"qcow2 zstd":          {[]string{"-c", "-O", "qcow2", "-o", "compression_type=zstd"}, qemu.QCOW2, 64 << 10},
		"qcow2 large":         {[]string{"-c", "-O", "qcow2", "-o", "cluster_size=2M"}, qemu.QCOW2, 2 << 20},
		"qcow2 small":         {[]string{"-O", "qcow2", "-o", "cluster_size=512"}, qemu.QCOW2, 512},
		"qcow2 extended L2":   {[]string{"-O", "qcow2", "-o", "extended_l2=on"}, qemu.QCOW2, 64 << 10},
		"qcow2 metadata":      {[]string{"-O", "qcow2", "-o", "preallocation=metadata"}, qemu.QCOW2, 64 << 10},
		"qcow2 preallocation": {[]string{"-O", "qcow2", "-o", "preallocation=falloc"}, qemu.QCOW2, 64 << 10},
		"vmdk":                {[]string{"-O", "vmdk"}, qemu.VMDK, 0},
		"vmdk stream":         {[]string{"-O", "vmdk", "-o", "subformat=streamOptimized"}, qemu.VMDK, 0},
		"vdi":                 {[]string{"-O", "vdi"}, qemu.VDI, 0},
		"vdi static":          {[]string{"-O", "vdi", "-o", "static=on"}, qemu.VDI, 0},
		"vhdx":                {[]string{"-O", "vhdx"}, qemu.VHDX, 0},
		"vhd":                 {[]string{"-O", "vpc", "-o", "force_size=on"}, qemu.VHD, 0},
		"vhd fixed":           {[]string{"-O", "vpc", "-o", "force_size=on,subformat=fixed"}, qemu.VHD, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := image(t, c.options...)
			before := load(t, path)
			s := probe(t, path)
			if s.Format != c.format || s.VirtualSize != 9<<20 || s.Backing != nil || s.ClusterSize != c.cluster {
				t.Errorf("probed %+v", s)
			}
			same(t, open(t, s), content())
			if !bytes.Equal(before, load(t, path)) {
				t.Error("the source was written to")
			}
		})
	}
}

// same compares a disk with what should be on it, read in all the ways.
func same(t *testing.T, d *qemu.Disk, want []byte) {
	t.Helper()
	if d.Size() != int64(len(want)) {
		t.Fatalf("%d bytes, want %d", d.Size(), len(want))
	}
	got := make([]byte, len(want))
	if n, err := d.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, or other ones: %v", n, err)
	}
	extents, err := d.Extents(0, d.Size())
	if err != nil {
		t.Fatal(err)
	}
	// Data alone goes into zeros, from odd places on.
	got = make([]byte, len(want))
	var ranges []qemu.Range
	end := int64(0)
	for _, e := range extents {
		if e.Offset != end {
			t.Fatalf("extent at %d, want %d", e.Offset, end)
		}
		end += e.Length
		if !e.Zero {
			third := e.Length / 3
			ranges = append(ranges, qemu.Range{Offset: e.Offset, Length: third}, qemu.Range{Offset: e.Offset + third, Length: e.Length - third})
		}
	}
	if end != d.Size() {
		t.Errorf("extents end at %d", end)
	}
	err = d.ReadRanges(t.Context(), ranges, func(p []byte, offset int64) error {
		copy(got[offset:], p)
		return nil
	})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read other bytes in ranges: %v", err)
	}
}

func TestBackingFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := content()
	save(t, filepath.Join(dir, "sub", "base"), want)
	run(t, dir, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "sub/base", "-o", "cluster_size=2M", "middle")
	run(t, dir, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "middle", "top")
	undeclared := be32(112, 0x11111111)(load(t, filepath.Join(dir, "top")))
	save(t, filepath.Join(dir, "top"), undeclared)
	run(t, dir, "qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 2M 4k", "middle")
	copy(want[2<<20:], bytes.Repeat([]byte{0x5a}, 4096))
	s := probe(t, filepath.Join(dir, "top"))
	if s.Backing == nil || s.Backing.Backing == nil || s.Backing.Backing.Format != qemu.Raw || s.ClusterSize != 2<<20 {
		t.Fatalf("probed %+v", s)
	}
	same(t, open(t, s), want)
}

func TestNothingIsLeft(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := probe(t, image(t, "-O", "qcow2"))
	ctx, cancel := context.WithCancel(t.Context())
	d, err := qemu.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is there any more that a killed program could leave.
	if dirs, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(dirs) != 0 {
		t.Fatalf("%v, %v", dirs, err)
	}
	cancel()
	for err == nil {
		_, err = d.ReadAt(make([]byte, 512), 0)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("a disk that is gone looks like one that ends: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := qemu.Open(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("opened after the end: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "snpguard-nbd-*")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	sources := []*qemu.Source{probe(t, image(t, "-O", "vdi")), probe(t, image(t, "-O", "vmdk"))}
	t.Setenv("PATH", t.TempDir())
	for _, s := range sources {
		if _, err := qemu.Open(t.Context(), s); !errors.Is(err, qemu.ErrNoProgram) || !bytes.Contains([]byte(err.Error()), []byte("qemu-utils")) {
			t.Errorf("%s: %v", s.Format, err)
		}
	}
}

func TestProbedIsWhatIsOpened(t *testing.T) {
	outside := t.TempDir()
	save(t, filepath.Join(outside, "secret"), content())
	path := image(t, "-O", "qcow2")
	s := probe(t, path)
	run(t, outside, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", filepath.Join(outside, "secret"), path)
	same(t, open(t, s), make([]byte, 9<<20))
}

func TestSizeOfWhatIsOpened(t *testing.T) {
	for _, s := range []*qemu.Source{probe(t, image(t, "-O", "raw")), probe(t, image(t, "-O", "qcow2"))} {
		want := "the virtual disk is empty"
		save(t, s.Path, nil)
		if s.Format == qemu.QCOW2 {
			run(t, t.TempDir(), "qemu-img", "create", "-q", "-f", "qcow2", s.Path, "17T")
			want = "a virtual disk of 17 TiB"
		}
		if _, err := qemu.Open(t.Context(), s); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", s.Format, err)
		}
	}
}

// hanging puts a program of that name in front that never ends, and returns a
// context that is cancelled when it has started.
func hanging(t *testing.T, name string) context.Context {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "started")
	script := "#!/bin/sh\necho >" + fifo + "\nexec /bin/sleep 600\n"
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.ReadFile(fifo)
		cancel()
	}()
	return ctx
}

// TestCancelledWhileItRuns is not told as a fault of the image.
func TestCancelledWhileItRuns(t *testing.T) {
	vdi, vmdk := probe(t, image(t, "-O", "vdi")), probe(t, image(t, "-O", "vmdk"))
	_, listening := qemu.Open(hanging(t, "qemu-nbd"), vdi)
	_, checking := qemu.Open(hanging(t, "qemu-img"), vmdk)
	for _, err := range []error{listening, checking} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, qemu.ErrImage) {
			t.Errorf("got %v", err)
		}
	}
}

// TestExtensionsEndWithTheirCluster fills the rest of the first cluster with one. What
// follows, here the backing file's name, would make a bad one.
func TestExtensionsEndWithTheirCluster(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	save(t, filepath.Join(filepath.Dir(top), "extension"), content())
	overlay(t, top, "extension", "")
	b := load(t, top)
	for at, v := range map[int]uint32{20: 9, 36: 32, 104: 0x11111111, 108: 512 - 112} {
		be32(at, v)(b)
	}
	save(t, top, b)
	if s := probe(t, top); s.ClusterSize != 512 || s.Backing == nil {
		t.Errorf("%+v", s)
	}
}

func TestWordsOfQEMUAreTold(t *testing.T) {
	path := image(t, "-O", "qcow2", "-o", "extended_l2=on")
	save(t, path, be32(56, 0)(load(t, path))) // no reference counts, which only QEMU needs
	if _, err := qemu.Open(t.Context(), probe(t, path)); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "qemu-nbd: Image does not contain a reference count table") {
		t.Errorf("got %v", err)
	}
}

func TestReadRangesStops(t *testing.T) {
	broken := errors.New("broken")
	disk := bytes.NewReader(content())
	all := []qemu.Range{{Offset: 0, Length: disk.Size()}}
	var calls atomic.Int64
	err := qemu.ReadRanges(t.Context(), disk, all, 4096, func([]byte, int64) error {
		calls.Add(1)
		return broken
	})
	if !errors.Is(err, broken) || calls.Load() > 16 {
		t.Errorf("%d calls after an error: %v", calls.Load(), err)
	}
	use := func([]byte, int64) error { return nil }
	if err := qemu.ReadRanges(t.Context(), disk, []qemu.Range{{Offset: 4096, Length: disk.Size()}}, 4096, use); !errors.Is(err, io.EOF) {
		t.Errorf("a range behind the end: %v", err)
	}
	if err := qemu.ReadRanges(t.Context(), at{iotest.ErrReader(broken)}, all, 4096, use); !errors.Is(err, broken) {
		t.Errorf("a disk that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := qemu.ReadRanges(ctx, disk, all, 4096, use); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// at reads wherever it is asked to.
type at struct{ io.Reader }

func (a at) ReadAt(p []byte, _ int64) (int, error) { return a.Read(p) }
