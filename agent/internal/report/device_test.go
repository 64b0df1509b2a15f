package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoDevice opens what this machine has instead of an AMD-SP: nothing, or a
// file that knows no such ioctl.
func TestNoDevice(t *testing.T) {
	if _, err := openSEVGuest(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "sev-guest"))
	if err != nil {
		t.Fatal(err)
	}
	open := func() (Device, error) { return sevGuestFile{f}, nil }
	if _, err := Get([]Provider{SEVGuest{open}}, data()); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("got %v", err)
	}
	if _, err := f.Stat(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the device stays open: %v", err)
	}
	locked := SEVGuest{func() (Device, error) { return nil, fs.ErrPermission }}
	if _, err := Get([]Provider{locked}, data()); !errors.Is(err, fs.ErrPermission) || errors.Is(err, errUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestWays has the kernel's own way first.
func TestWays(t *testing.T) {
	ways := chip()
	if len(ways) != 2 || ways[0].Name() != "configfs-tsm" || ways[1].Name() != "sev-guest" {
		t.Errorf("ways %v", ways)
	}
	if _, err := Get(ways, data()); !errors.Is(err, errUnavailable) {
		t.Errorf("a report on a machine without an AMD-SP: %v", err)
	}
}
