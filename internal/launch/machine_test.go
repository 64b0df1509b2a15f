package launch_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
)

// qcow2 returns a header with some fields set.
func qcow2(version uint32, backing, incompatible uint64) string {
	h := make([]byte, 1<<20)
	copy(h, "QFI\xfb")
	binary.BigEndian.PutUint32(h[4:], version)
	binary.BigEndian.PutUint64(h[8:], backing)
	binary.BigEndian.PutUint64(h[72:], incompatible)
	return string(h)
}

func TestOpenDisk(t *testing.T) {
	rest := strings.Repeat("\x00", 1<<20)
	for name, tc := range map[string]struct{ data, format, says string }{
		"raw":               {rest, launch.Raw, ""},
		"qcow2 v2":          {qcow2(2, 0, 4), launch.QCOW2, ""}, // v2 has no features there
		"qcow2 v3":          {qcow2(3, 0, 1<<3), launch.QCOW2, ""},
		"qcow2 v4":          {qcow2(4, 0, 0), "", "version 4"},
		"backing file":      {qcow2(3, 104, 0), "", "backing file"},
		"old backing file":  {qcow2(2, 104, 0), "", "backing file"},
		"data file":         {qcow2(3, 0, 4), "", "another file"},
		"unknown feature":   {qcow2(3, 0, 1<<63), "", "unknown qcow2 features"},
		"vmdk":              {"KDMV" + rest, "", "format vmdk"},
		"vmdk descriptor":   {"# Disk DescriptorFile" + rest, "", "format vmdk"},
		"vhdx":              {"vhdxfile" + rest, "", "format vhdx"},
		"vdi":               {"<<< QEMU VM Virtual Disk Image >>>" + rest, "", "format vdi"},
		"fixed vhd":         {rest[512:] + "conectix" + rest[:504], "", "format vpc"},
		"bare LUKS":         {"LUKS\xba\xbe" + rest, "", "format luks"},
		"empty":             {"", "", "at least"},
		"shorter than disk": {rest[1:], "", "at least"},
	} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, []byte(tc.data), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := launch.OpenDisk(path)
		switch {
		case tc.says == "" && (err != nil || d.Format != tc.format || d.Path != path):
			t.Errorf("%s: got %+v, %v", name, d, err)
		case tc.says != "" && (!errors.Is(err, launch.ErrDisk) || !strings.Contains(err.Error(), tc.says)):
			t.Errorf("%s: got %v, want one that says %q", name, err, tc.says)
		}
	}
	for _, path := range []string{"/dev/zero", t.TempDir()} {
		if _, err := launch.OpenDisk(path); !errors.Is(err, launch.ErrDisk) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := launch.OpenDisk("nbd://127.0.0.1/"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a URL: got %v", err)
	}
}

// TestOpenRealDisks asks qemu-img for images.
func TestOpenRealDisks(t *testing.T) {
	dir := t.TempDir()
	base, overlay := filepath.Join(dir, "base"), filepath.Join(dir, "overlay")
	for _, args := range [][]string{
		{"create", "-q", "-f", "qcow2", base, "8M"},
		{"create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay},
	} {
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img (Debian package qemu-utils): %v\n%s", err, out)
		}
	}
	for _, path := range []string{base, overlay} {
		// Both have less than a MiB of data; what a converter writes has more.
		if err := os.Truncate(path, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := launch.OpenDisk(base); err != nil || d.Format != launch.QCOW2 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := launch.OpenDisk(overlay); !errors.Is(err, launch.ErrDisk) {
		t.Errorf("overlay: got %v", err)
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
