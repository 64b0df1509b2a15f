package ext4_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/ext4"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs/rootfstest"
)

// TestRelink changes a link in one sector and asks e2fsck what it thinks.
func TestRelink(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("long/", 20)
	for name, target := range map[string]string{"link": "A", "long": long} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range [][]string{
		{"-t", "ext4", "-O", "^has_journal"}, {"-t", "ext4", "-I", "128"}, {"-t", "ext4", "-I", "512"}, {"-t", "ext2"}, {"-t", "ext4", "-b", "1024"},
	} {
		image := rootfstest.Make(t, 16, dir, options...)
		f, err := os.OpenFile(image, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fsys, err := ext4.Open(f, 16<<20)
		if err != nil {
			t.Fatal(err)
		}
		offset, sector, err := fsys.Relink("link", "B")
		if err != nil || len(sector) != ext4.SectorSize || offset%ext4.SectorSize != 0 {
			t.Fatalf("%v: %d bytes at %d: %v", options, len(sector), offset, err)
		}
		if _, err := f.WriteAt(sector, offset); err != nil {
			t.Fatal(err)
		}
		rootfstest.Clean(t, image)
		if fsys, err = ext4.Open(f, 16<<20); err != nil {
			t.Fatal(err)
		}
		if target, err := fsys.ReadLink("link"); target != "B" || err != nil {
			t.Errorf("%v: %q, %v", options, target, err)
		}
		for name, target := range map[string]string{"link": "AB", "long": strings.ToUpper(long), "file": "A", "none": "A"} {
			if _, _, err := fsys.Relink(name, target); err == nil {
				t.Errorf("%v: %s to %s: no error", options, name, target)
			}
		}
	}
	image := rootfstest.Make(t, 16, dir, "-t", "ext4", "-b", "4096", "-I", "1024")
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fsys, err := ext4.Open(f, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := fsys.Relink("link", "B"); err == nil {
		t.Error("an inode of two sectors is written")
	}
}

// otherSector is a disk on which what is read as one sector alone is something else.
type otherSector struct {
	*bytes.Reader
	sector []byte // nil for an error
}

func (o otherSector) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case len(p) != ext4.SectorSize:
		return o.Reader.ReadAt(p, off)
	case o.sector == nil:
		return 0, io.ErrNoProgress
	}
	return copy(p, o.sector), nil
}

func TestRelinkRefuses(t *testing.T) {
	image := rootfstest.Make(t, 16, "", "-t", "ext4", "-b", "1024")
	rootfstest.Debugfs(t, image, "symlink link A")
	data, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	relink := func(disk io.ReaderAt) error {
		fsys, err := ext4.Open(disk, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = fsys.Relink("link", "B")
		return err
	}
	if err := relink(otherSector{bytes.NewReader(data), nil}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a sector that cannot be read: %v", err)
	}
	if err := relink(otherSector{bytes.NewReader(data), bytes.Repeat([]byte{0xff}, ext4.SectorSize)}); !errors.Is(err, rootfs.ErrCorrupt) || !strings.Contains(err.Error(), "checksum comes out wrong") {
		t.Errorf("another inode than before: %v", err)
	}
	rootfstest.Debugfs(t, image, "feature needs_recovery")
	if data, err = os.ReadFile(image); err != nil {
		t.Fatal(err)
	}
	if err := relink(bytes.NewReader(data)); !errors.Is(err, rootfs.ErrUnsupported) || !strings.Contains(err.Error(), "journal has to be replayed") {
		t.Errorf("a journal that is not empty: %v", err)
	}
}
