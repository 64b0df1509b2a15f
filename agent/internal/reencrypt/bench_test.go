package reencrypt

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/instancedisk"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
)

// fileDisk is a partition in a file.
type fileDisk struct{ *os.File }

func (d fileDisk) Flush() error { return syscall.Fdatasync(int(d.Fd())) }

// BenchmarkRatioReencrypt holds the re-encryption of a payload of 256 MiB against moving the
// same bytes: each chunk is read once, written to a buffer and in its place, and flushed.
func BenchmarkRatioReencrypt(b *testing.B) {
	const size = 256 << 20
	disk, volume := benchDisk(b, size)
	golden, target := make([]byte, xts.KeySize), make([]byte, xts.KeySize)
	rand.Read(golden)
	rand.Read(target)
	chunk := make([]byte, maxChunk)
	move := func() {
		for at := int64(0); at < size; at += maxChunk {
			_, err := disk.ReadAt(chunk, instancedisk.End+at)
			check(b, err)
			_, err = disk.WriteAt(chunk, instancedisk.BufferAt(uint64(at/maxChunk)))
			check(b, err)
			check(b, disk.Flush())
			_, err = disk.WriteAt(chunk, instancedisk.End+at)
			check(b, err)
		}
		check(b, disk.Flush())
	}
	ratio.Pair{Clear: func() { check(b, disk.Flush()) }, Reference: move, Subject: func() {
		check(b, volume.Begin(golden))
		work, err := volume.Resume(golden, target)
		check(b, err)
		defer work.Close()
		check(b, work.Run(b.Context(), []Extent{{0, size}}, nil))
	}}.Compare(b, "x-moving", 1.5)
}

func benchDisk(b *testing.B, size int64) (fileDisk, Volume) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "disk"))
	check(b, err)
	b.Cleanup(func() { f.Close() })
	block := make([]byte, 1<<20)
	for at := int64(0); at < instancedisk.End+size; at += int64(len(block)) {
		rand.Read(block)
		_, err := f.WriteAt(block, at)
		check(b, err)
	}
	disk := fileDisk{f}
	return disk, Volume{Device: disk, PayloadOffset: instancedisk.End, PayloadSize: size, SectorSize: xts.LargeSector}
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
