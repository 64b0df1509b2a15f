package reencrypt

import (
	"bytes"
	"errors"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// TestFileSystem re-encrypts an ext4 whose used blocks are asked for anew in each boot,
// through many cuts. e2fsck finds nothing, and every file is what it was.
func TestFileSystem(t *testing.T) {
	dir := t.TempDir()
	for i, size := range []int{0, 1, 5000, 100_000, 3 << 20} {
		name := filepath.Join(dir, "files", string(rune('a'+i)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, bytes.Repeat([]byte{byte(i), 7}, size/2), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, blocks := range []string{"1024", "4096"} {
		plain, err := os.ReadFile(rootfstest.Make(t, 24, dir, "-t", "ext4", "-b", blocks))
		if err != nil {
			t.Fatal(err)
		}
		w := worldOf(t, plain, 128<<10)
		if err := w.volume.Begin(w.golden); err != nil {
			t.Fatal(err)
		}
		random, boots := mathrand.New(mathrand.NewPCG(9, 10)), 0
		for ; ; boots++ {
			w.disk.left = 10 + random.IntN(10)
			err := w.bootExt4(t)
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) || boots > 100 {
				t.Fatalf("boot %d: %v", boots, err)
			}
			w.disk.cut(losses(uint64(boots))["any sectors"])
		}
		if err := w.check(); err != nil || boots < 3 {
			t.Errorf("%d boots: %v", boots, err)
		}
		w.sameFiles(t, dir)
	}
}

// bootExt4 is a boot that finds the extents on the disk.
func (w *world) bootExt4(t *testing.T) error {
	t.Helper()
	work, err := w.volume.Resume(w.golden, w.target)
	if err != nil {
		return err
	}
	defer work.Close()
	volume, err := ext4.Open(work, w.volume.PayloadSize)
	if err != nil {
		return err
	}
	w.extents = nil
	for r, err := range volume.Used() {
		if err != nil {
			return err
		}
		w.extents = append(w.extents, Extent{r.Offset, r.Length})
	}
	return work.Run(t.Context(), w.extents, nil)
}

// sameFiles opens the payload with the volume key and compares every file.
func (w *world) sameFiles(t *testing.T, dir string) {
	t.Helper()
	w.disk.left = -1
	work, err := w.volume.Resume(w.golden, w.target)
	if err != nil {
		t.Fatal(err)
	}
	defer work.Close()
	plain := make([]byte, w.volume.PayloadSize)
	if _, err := work.ReadAt(plain, 0); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "opened")
	if err := os.WriteFile(image, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	rootfstest.Clean(t, image)
	opened, files := rootfstest.Open(t, image), 0
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := fs.ReadFile(os.DirFS(dir), path)
		if err != nil {
			return err
		}
		if got, err := fs.ReadFile(opened, path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", path, len(got), len(want), err)
		}
		files++
		return nil
	})
	if err != nil || files != 5 {
		t.Errorf("%d files, %v", files, err)
	}
}
