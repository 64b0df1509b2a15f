package qemu

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counted counts the reads of a disk.
type counted struct {
	*bytes.Reader
	reads atomic.Int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.Reader.ReadAt(p, off)
}

func TestClusters(t *testing.T) {
	const size = 4096
	disk := make([]byte, 3000*size+1234)
	random := rand.NewChaCha8([32]byte{2})
	_, _ = random.Read(disk)
	r := &counted{Reader: bytes.NewReader(disk)}
	c, err := newClusters(r, size, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for seed := range byte(4) {
		group.Go(func() {
			at := rand.New(rand.NewChaCha8([32]byte{seed}))
			for range 5000 {
				off := at.IntN(len(disk) + 10)
				p := make([]byte, at.IntN(4*size))
				n, err := c.ReadAt(p, int64(off))
				want := disk[min(off, len(disk)):min(off+len(p), len(disk))]
				if n != len(want) || !bytes.Equal(p[:n], want) || (n < len(p)) != errors.Is(err, io.EOF) {
					t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
				}
			}
		})
	}
	group.Wait()
	if kept := int64(c.kept.Len()) * size; kept > clusterCache {
		t.Errorf("%d bytes are kept", kept)
	}
	before := r.reads.Load()
	for off := range int64(16) {
		if _, err := c.ReadAt(make([]byte, 256), 5*size+off*256); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.reads.Load() - before; n > 1 {
		t.Errorf("a cluster is read %d times", n)
	}
	if _, err := c.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
}

// TestUnchanged looks at an image and its backing file again.
func TestUnchanged(t *testing.T) {
	dir := t.TempDir()
	top, base := filepath.Join(dir, "top"), filepath.Join(dir, "base")
	probed := func() *Source {
		t.Helper()
		source := &Source{Path: top, Backing: &Source{Path: base}}
		for s := source; s != nil; s = s.Backing {
			if err := os.WriteFile(s.Path, []byte("image"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(s.Path, time.Time{}, time.Unix(1_700_000_000, 5)); err != nil {
				t.Fatal(err)
			}
			var err error
			if s.found, err = os.Stat(s.Path); err != nil {
				t.Fatal(err)
			}
		}
		return source
	}
	if err := probed().Unchanged(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func() error{
		"written": func() error { return os.WriteFile(base, []byte("IMAGE"), 0o600) },
		"longer":  func() error { return os.WriteFile(top, []byte("image!"), 0o600) },
		"later":   func() error { return os.Chtimes(base, time.Time{}, time.Unix(1_700_000_000, 6)) },
		"replaced": func() error {
			return errors.Join(os.WriteFile(dir+"/new", []byte("image"), 0o600), os.Chtimes(dir+"/new", time.Time{}, time.Unix(1_700_000_000, 5)), os.Rename(dir+"/new", top))
		},
	} {
		source := probed()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := source.Unchanged(); !errors.Is(err, ErrImage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	source := probed()
	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	if err := source.Unchanged(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}
