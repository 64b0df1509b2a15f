package qemu

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// FuzzHeader looks for images that make the look at their head fail otherwise
// than with an error, or that lead to an absurd size.
func FuzzHeader(f *testing.F) {
	program := tool.Path(f, "qemu-img")
	for _, options := range [][]string{
		{"-f", "qcow2", "-o", "cluster_size=512"}, {"-f", "qcow2", "-o", "cluster_size=16k,extended_l2=on"},
		{"-f", "vmdk"}, {"-f", "vdi"}, {"-f", "vpc"},
	} {
		path := filepath.Join(f.TempDir(), "image")
		cmd := exec.CommandContext(f.Context(), program, append(append([]string{"create", "-q"}, options...), path, "1M")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			f.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 64<<10)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []Format{"", QCOW2, VMDK, VDI, VHDX, VHD} {
			h, err := readHeader(bytes.NewReader(b), int64(len(b)), format)
			if err == nil && (h.size < 0 || h.size > maxSize) && h.format != Raw {
				t.Fatalf("%s: %+v", format, h)
			}
		}
	})
}
