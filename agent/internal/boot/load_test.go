package boot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

type fakeLoader struct {
	answers map[string]error
	asked   []string
}

func (f *fakeLoader) Load(path string) error {
	f.asked = append(f.asked, path)
	return f.answers[filepath.Base(path)]
}

func TestLoad(t *testing.T) {
	f := &fakeLoader{answers: map[string]error{"01-xts.ko": unix.EEXIST, "02-sev-guest.ko": unix.ENODEV}}
	r := load(f, "/m", []string{"00-dm-mod.ko", "01-xts.ko", "02-sev-guest.ko", "03-virtio_net.ko"})
	if want := "2 loaded, 1 present; not loaded: 02-sev-guest: no such device"; r.String() != want {
		t.Errorf("got %q", r)
	}
	if want := []string{"/m/00-dm-mod.ko", "/m/01-xts.ko", "/m/02-sev-guest.ko", "/m/03-virtio_net.ko"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked for %v", f.asked)
	}
}

// TestKernel has the real kernel refuse: what is missing, and what is no module.
func TestKernel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.ko")
	if err := (kernelModules{}).Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("not a module"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (kernelModules{}).Load(path); err == nil {
		t.Error("the kernel took text for a module")
	}
}
