package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

// broken is a file that cannot be read.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }

// TestFileThatFails is not told as a fault of the image.
func TestFileThatFails(t *testing.T) {
	for _, format := range []Format{"", QCOW2, VMDK, VDI, VHDX, VHD} {
		if _, err := readHeader(broken{}, 1<<20, format); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrImage) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// TestServerThatDoesNotEnd has one that goes on after the connection's end, until it
// is killed.
func TestServerThatDoesNotEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := Probe(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := OpenWritable(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer w.served.server.stop()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		other := &server{dir: t.TempDir(), cancel: func() { close(ended) }, ended: ended}
		if err := (&Writable{w.Disk, &served{w.served.Conn, other}}).Close(); err == nil || !strings.Contains(err.Error(), "does not close the image") {
			t.Errorf("got %v", err)
		}
	})
}
