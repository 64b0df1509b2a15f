package launch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
)

// disks asks qemu-img for a golden image and an overlay of it.
func disks(t *testing.T) (base, overlay string) {
	t.Helper()
	dir := t.TempDir()
	base, overlay = filepath.Join(dir, "base"), filepath.Join(dir, "overlay")
	for _, args := range [][]string{
		{"create", "-q", "-f", "qcow2", base, "8M"},
		{"create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay, "16M"},
	} {
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img (Debian package qemu-utils): %v\n%s", err, out)
		}
	}
	return base, overlay
}

func TestOpenDisk(t *testing.T) {
	base, _ := disks(t)
	image, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	// changed is the image with a field of its header set, big endian.
	changed := func(offset int, value uint32) string {
		b := bytes.Clone(image)
		binary.BigEndian.PutUint32(b[offset:], value)
		return string(b)
	}
	rest := strings.Repeat("\x00", 1<<20)
	for name, tc := range map[string]struct{ data, format, says string }{
		"raw":               {rest, launch.Raw, ""},
		"qcow2":             {string(image), launch.QCOW2, ""},
		"qcow2 v4":          {changed(4, 4), "", "qcow of another version"},
		"backing file":      {changed(12, 104), "", "backing file"},
		"data file":         {changed(76, 4), "", "another file"},
		"corrupt":           {changed(76, 2), "", "corrupt"},
		"unknown feature":   {changed(72, 1<<31), "", "unknown incompatible features"},
		"vmdk descriptor":   {"# Disk DescriptorFile" + rest, "", "vmdk"},
		"vhdx":              {"vhdxfile" + rest, "", ""},
		"fixed vhd":         {rest[512:] + "conectix" + rest[:504], "", ""},
		"bare LUKS":         {"LUKS\xba\xbe" + rest, "", "luks"},
		"empty":             {"", "", "the virtual disk is empty"},
		"shorter than disk": {rest[512:], "", "at least"},
	} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, []byte(tc.data), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := launch.OpenDisk(qemu.Files{Image: path})
		switch {
		case tc.format != "" && (err != nil || d.Format != tc.format || d.Path != path || d.Backing != nil):
			t.Errorf("%s: got %+v, %v", name, d, err)
		case tc.format == "" && (!errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: got %v, want one that says %q", name, err, tc.says)
		}
	}
	for _, path := range []string{"/dev/zero", t.TempDir()} {
		if _, err := launch.OpenDisk(qemu.Files{Image: path}); !errors.Is(err, qemu.ErrImage) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := launch.OpenDisk(qemu.Files{Image: "nbd://127.0.0.1/"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a URL: got %v", err)
	}
}

// TestOpenOverlay wants the golden image to be named.
func TestOpenOverlay(t *testing.T) {
	base, overlay := disks(t)
	if _, err := launch.OpenDisk(qemu.Files{Image: overlay}); !errors.Is(err, qemu.ErrImage) || !strings.Contains(err.Error(), "--backing") {
		t.Errorf("not named: got %v", err)
	}
	d, err := launch.OpenDisk(qemu.Files{Image: overlay, Backing: base})
	if err != nil || d.Path != overlay || d.Backing == nil || *d.Backing != (launch.Disk{Path: base, Format: launch.QCOW2}) {
		t.Errorf("named: got %+v, %v", d, err)
	}
}

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{"4G": 4 << 30, "512M": 512 << 20, "1024M": 1 << 30, "16384G": 16 << 40, "256M": 256 << 20} {
		if got, err := launch.ParseMemory(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "G", "17T", "1024", "255M", "16385G", "-1G", "1.0001G", "4G,slots=2", "99999999999999999999", "4294967295G"} {
		if got, err := launch.ParseMemory(text); !errors.Is(err, launch.ErrMachine) {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]launch.Network{
		"user": {Mode: "user"}, "none": {Mode: "none"}, "tap=tap-0.1_a": {Mode: "tap", Tap: "tap-0.1_a"},
	} {
		if got, err := launch.ParseNetwork(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "tap", "tap=", "tap=a,script=/tmp/x", "tap=0123456789abcdef", "tap=a b", "user,smb=/", "bridge"} {
		if got, err := launch.ParseNetwork(text); !errors.Is(err, launch.ErrMachine) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
	user, none := launch.Network{Mode: "user"}, launch.Network{Mode: "none"}
	if n, err := user.WithSSH(2222); err != nil || n.SSHPort != 2222 {
		t.Errorf("got %+v, %v", n, err)
	}
	for port, n := range map[int]launch.Network{-1: user, 65536: user, 22: none} {
		if _, err := n.WithSSH(port); !errors.Is(err, launch.ErrMachine) {
			t.Errorf("port %d: got %v", port, err)
		}
	}
	if _, err := none.WithSSH(0); err != nil {
		t.Error(err)
	}
}
