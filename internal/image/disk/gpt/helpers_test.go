package gpt_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/tool"
)

// memory is a disk in memory that cannot grow.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, errors.New("write outside of the disk")
	}
	return copy(m[off:], p), nil
}

func guid(tb testing.TB, s string) gpt.GUID {
	tb.Helper()
	g, err := gpt.ParseGUID(s)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// cloud is a table of the shape that cloud images have: numbers out of the
// disk's order, attributes, a name that is not ASCII.
func cloud(tb testing.TB, sectorSize int) *gpt.Table {
	tb.Helper()
	mib := uint64(1<<20) / uint64(sectorSize)
	return &gpt.Table{
		DiskGUID:   guid(tb, "5cd7e7b1-7a30-4b5c-9d4e-b0a1c2d3e4f5"),
		SectorSize: sectorSize,
		Entries:    gpt.DefaultEntries,
		Partitions: []gpt.Partition{
			{
				Number: 1, Type: guid(tb, gpt.TypeRootAMD64), GUID: guid(tb, "11111111-2222-4333-8444-555555555555"),
				First: 4 * mib, Last: 8*mib - 1, Attributes: 1<<63 | 1<<2, Name: "root ünïcode 𝄞",
			},
			{
				Number: 14, Type: guid(tb, gpt.TypeBIOSBoot), GUID: guid(tb, "11111111-2222-4333-8444-555555555556"),
				First: mib, Last: 2*mib - 1,
			},
			{
				Number: 15, Type: guid(tb, gpt.TypeESP), GUID: guid(tb, "11111111-2222-4333-8444-555555555557"),
				First: 2 * mib, Last: 4*mib - 1, Attributes: 1, Name: "EFI system partition, 36 characters.",
			},
		},
	}
}

// written returns a disk of size bytes with the table on it.
func written(tb testing.TB, t *gpt.Table, size int64) memory {
	tb.Helper()
	m := make(memory, size)
	if err := t.Write(m, size); err != nil {
		tb.Fatal(err)
	}
	return m
}

// run starts a program on the disk in m and returns what it printed; m takes
// over what the program changed.
func run(tb testing.TB, m memory, stdin string, name string, args ...string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "disk")
	if err := os.WriteFile(file, m, 0o600); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), tool.Path(tb, name), append(args, file)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdin = bytes.NewReader([]byte(stdin))
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	changed, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	copy(m, changed)
	return string(out)
}

func newGUID(tb testing.TB, random io.Reader) gpt.GUID {
	tb.Helper()
	if random == nil {
		random = rand.Reader
	}
	g, err := gpt.NewGUID(random)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}
