package embed

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch/launchtest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
)

func identity() ed25519.PublicKey { return launchtest.Identity().Public().(ed25519.PublicKey) }

func trust() bundle.Trust { return bundle.Trust{Identity: identity()} }

// release returns a bundle whose kernel says who it is, as tar: the race detector
// makes decompression slow.
func release(tb testing.TB, who string) []byte {
	tb.Helper()
	packed := launchtest.Bundle(tb, launchtest.Release{Kernel: launchtest.Kernel(who, launchtest.PowerOff), Initrd: []byte(who), Cmdline: who})
	gz, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(gz)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

// memory is a disk in memory.
type memory struct{ b []byte }

func (m *memory) Size() int64 { return int64(len(m.b)) }
func (m *memory) Sync() error { return nil }
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m.b)) {
		return 0, errors.New("write outside of the disk")
	}
	return copy(m.b[off:], p), nil
}

// Where the partitions of blankDisk are, in MiB.
const (
	artifactsAt, artifactsEnd = 1, 17
	rootAt, rootEnd           = 17, 23
	diskEnd                   = 24
)

// blankDisk returns a disk of 24 MiB with empty slots, as a conversion makes them, and
// behind them a root partition of noise.
func blankDisk(tb testing.TB) *memory {
	tb.Helper()
	m := &memory{bytes.Repeat([]byte("root of the guest, "), diskEnd<<20/19+1)[:diskEnd<<20]}
	clear(m.b[:rootAt<<20])
	clear(m.b[rootEnd<<20:])
	head, err := slots.Make([16]byte{5}, (artifactsEnd-artifactsAt)<<20)
	if err != nil {
		tb.Fatal(err)
	}
	copy(m.b[artifactsAt<<20:], head)
	withTable(tb, m,
		gpt.Partition{Number: 1, GUID: gpt.GUID{2}, First: rootAt * 2048, Last: rootEnd*2048 - 1, Name: "root"},
		gpt.Partition{Number: 2, GUID: gpt.GUID{3}, First: artifactsAt * 2048, Last: artifactsEnd*2048 - 1, Name: slots.Label})
	return m
}

// withTable writes a table and boot code.
func withTable(tb testing.TB, m *memory, partitions ...gpt.Partition) {
	tb.Helper()
	kind, err := gpt.ParseGUID(gpt.TypeLinux)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range partitions {
		partitions[i].Type = kind
	}
	table := &gpt.Table{DiskGUID: gpt.GUID{1}, SectorSize: 512, Partitions: partitions}
	if err := table.Write(m, m.Size()); err != nil {
		tb.Fatal(err)
	}
	copy(m.b, "boot code")
}

// kept fails the test unless everything but the partition is as it was.
func kept(tb testing.TB, m, before *memory) {
	tb.Helper()
	if !bytes.Equal(m.b[:artifactsAt<<20], before.b[:artifactsAt<<20]) || !bytes.Equal(m.b[artifactsEnd<<20:diskEnd<<20], before.b[artifactsEnd<<20:]) {
		tb.Fatal("what is outside of the partition has changed")
	}
}

// imageOf writes a disk into a file, as qcow2 if asked.
func imageOf(tb testing.TB, m *memory, format string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "disk.raw")
	if err := os.WriteFile(path, m.b, 0o600); err != nil {
		tb.Fatal(err)
	}
	if format == "raw" {
		return path
	}
	out := filepath.Join(filepath.Dir(path), "disk."+format)
	tool(tb, "qemu-img", "convert", "-f", "raw", "-O", format, path, out)
	return out
}

// diskOf reads an image back into memory.
func diskOf(tb testing.TB, image string) *memory {
	tb.Helper()
	raw := filepath.Join(tb.TempDir(), "raw")
	tool(tb, "qemu-img", "convert", "-O", "raw", image, raw)
	b, err := os.ReadFile(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return &memory{b}
}

func tool(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// cmdlineOf returns the command line of a slot's bundle after all checks; it is
// the release's name.
func cmdlineOf(s *Slot) (string, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.WriteTar(w, trust())) }()
	var line bytes.Buffer
	_, err := trust().Copy(r, func(f bundle.ManifestEntry) (io.WriteCloser, error) {
		if f.Name == bundle.NameCmdline {
			return sink{&line}, nil
		}
		return sink{io.Discard}, nil
	})
	r.CloseWithError(err)
	return line.String(), err
}
