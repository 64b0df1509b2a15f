package rootdisk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/rootdisk"
)

// TestDevice reads and writes the partition in place.
func TestDevice(t *testing.T) {
	p := &rootdisk.Partition{Path: filepath.Join(t.TempDir(), "part")}
	if _, err := p.Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if err := os.WriteFile(p.Path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.WriteAt([]byte("xy"), 3); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := d.ReadAt(b, 2); err != nil || string(b) != "2xy5" {
		t.Errorf("%q, %v", b, err)
	}
	d.Close()
	if err := d.Flush(); err == nil {
		t.Error("a closed device is flushed")
	}
}
