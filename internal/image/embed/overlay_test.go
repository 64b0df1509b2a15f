package embed

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

// TestEmbedOverlay gives an overlay a bundle of its own and takes the golden image's
// from others; the golden image stays as it is.
func TestEmbedOverlay(t *testing.T) {
	before := blankDisk(t)
	golden := imageOf(t, before, "qcow2")
	if _, err := embedBundle(t, golden, release(t, "golden"), nil); err != nil {
		t.Fatal(err)
	}
	held, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	files := qemu.Files{Image: filepath.Join(filepath.Dir(golden), "guest-1.qcow2"), Backing: golden}
	tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", golden, "-F", "qcow2", files.Image)
	if _, err := embedBundle(t, files.Image, release(t, "guest 1"), nil); !errors.Is(err, qemu.ErrImage) {
		t.Errorf("golden image not named: %v", err)
	}
	a, err := Open(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Active()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := cmdlineOf(s); err != nil || name != "golden" {
		t.Errorf("the golden image's bundle reads as %q, %v", name, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := embedBundle(t, files.Image, release(t, "guest 1"), func(o *Options) { o.Backing, o.Update = golden, true }); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, clean(t, files.Image, before)); got != "golden GUEST 1" {
		t.Errorf("slots %q", got)
	}
	if _, err := Activate(t.Context(), files, slots.A); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, clean(t, files.Image, before)); got != "GOLDEN guest 1" {
		t.Errorf("slots %q", got)
	}
	if now, err := os.ReadFile(golden); err != nil || !bytes.Equal(now, held) {
		t.Errorf("the golden image has changed, or %v", err)
	}
}
