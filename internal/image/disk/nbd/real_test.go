package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/nbd"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

const size = 9<<20 + 512

// serve starts qemu-nbd with an export "disk" on a raw image that has data in
// its second and last MiB.
func serve(tb testing.TB, options ...string) (socket string, content []byte) {
	tb.Helper()
	dir := tb.TempDir()
	content = make([]byte, size)
	copy(content[1<<20:2<<20], bytes.Repeat([]byte("data"), 1<<18))
	copy(content[8<<20:], bytes.Repeat([]byte("tail"), 1<<18+128))
	f, err := os.Create(filepath.Join(dir, "image"))
	if err != nil {
		tb.Fatal(err)
	}
	_, first := f.WriteAt(content[1<<20:2<<20], 1<<20)
	_, second := f.WriteAt(content[8<<20:], 8<<20)
	if err := errors.Join(first, second, f.Close()); err != nil {
		tb.Fatal(err)
	}
	socket = filepath.Join(dir, "socket")
	args := append([]string{"-f", "raw", "-x", "disk", "-t", "-k", socket}, options...)
	cmd := exec.CommandContext(tb.Context(), tool.Path(tb, "qemu-nbd"), append(args, f.Name())...)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 1000 {
		// The socket's file is there a moment before anybody listens.
		if probe, err := net.Dial("unix", socket); err == nil {
			_ = probe.Close()
			return socket, content
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("qemu-nbd does not listen")
	return "", nil
}

func dial(tb testing.TB, socket string) *nbd.Conn {
	tb.Helper()
	c, err := nbd.Dial(tb.Context(), socket, "disk")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReading(t *testing.T) {
	socket, want := serve(t, "-r")
	c := dial(t, socket)
	if c.Size() != size {
		t.Errorf("%d bytes", c.Size())
	}
	got := make([]byte, size+1)
	if n, err := c.ReadAt(got, 0); n != size || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes: %v", n, err)
	}
	if n, err := c.ReadAt(got[:7], size); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes behind the end: %v", n, err)
	}
	if _, err := c.ReadAt(got, -1); err == nil {
		t.Error("read in front of the disk")
	}
	extents, err := c.Extents(0, size)
	if err != nil || !slices.Equal(extents, []nbd.Extent{
		{Offset: 0, Length: 1 << 20, Zero: true}, {Offset: 1 << 20, Length: 1 << 20},
		{Offset: 2 << 20, Length: 6 << 20, Zero: true}, {Offset: 8 << 20, Length: 1<<20 + 512},
	}) {
		t.Errorf("%v, %v", extents, err)
	}
	extents, err = c.Extents(1<<20+4096, 1<<20)
	if err != nil || !slices.Equal(extents, []nbd.Extent{{Offset: 1<<20 + 4096, Length: 1<<20 - 4096}, {Offset: 2 << 20, Length: 4096, Zero: true}}) {
		t.Errorf("%v, %v", extents, err)
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, size + 1}, {0, -1}, {size + 1, 0}} {
		if _, err := c.Extents(bad[0], bad[1]); err == nil {
			t.Errorf("extents of %v", bad)
		}
	}
}

func TestRequestsSideBySide(t *testing.T) {
	socket, want := serve(t, "-r")
	c := dial(t, socket)
	var group sync.WaitGroup
	for worker := range 24 {
		group.Go(func() {
			p := make([]byte, 300_000)
			for i := range 8 {
				at := (worker*8 + i) * 47_000 % (size - len(p))
				if _, err := c.ReadAt(p, int64(at)); err != nil || !bytes.Equal(p, want[at:at+len(p)]) {
					t.Errorf("at %d: %v", at, err)
				}
			}
		})
	}
	group.Wait()
}

func TestWriting(t *testing.T) {
	socket, want := serve(t)
	c := dial(t, socket)
	piece := bytes.Repeat([]byte{7}, 5<<20)
	copy(want[1<<20:], piece)
	if n, err := c.WriteAt(piece, 1<<20); n != len(piece) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := c.WriteAt(piece, size-100); err == nil {
		t.Error("written behind the end")
	}
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(filepath.Join(filepath.Dir(socket), "image"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the image has other bytes: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	socket, _ := serve(t, "-r")
	c := dial(t, socket)
	refused := &nbd.ServerError{}
	if _, err := c.WriteAt([]byte("x"), 0); !errors.As(err, &refused) || refused.Code != 22 || refused.Message != "Export is read-only" {
		t.Errorf("writing to a read-only export: %v", err)
	}
	// A refusal does not end the connection.
	if _, err := c.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.ReadAt(make([]byte, 1), 0); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after the end: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := nbd.Dial(t.Context(), socket, "other"); !errors.Is(err, nbd.ErrProtocol) {
		t.Errorf("an export that is not there: %v", err)
	}
	if _, err := nbd.Dial(t.Context(), socket+"x", "disk"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a server that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nbd.Dial(ctx, socket, "disk"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
