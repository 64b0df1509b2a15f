package convert

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// encrypted writes the ranges of source into a file and returns what it holds.
func encrypted(t *testing.T, cipher *xts.Cipher, source []byte, ranges []rootfs.Range, offset int64) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &payload{cipher: cipher, source: bytes.NewReader(source), target: f, offset: offset, size: int64(len(source))}
	if err := p.encrypt(context.Background(), granules(ranges, p.size)); err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

func TestEverythingUsedIsEncryptedAndNothingElseWritten(t *testing.T) {
	t.Run("sectors of 4096", func(t *testing.T) { everythingUsed(t, xts.LargeSector, 5*chunkSize+3*4096) })
	t.Run("sectors of 512", func(t *testing.T) { everythingUsed(t, xts.SmallSector, 5*chunkSize+3*4096) })
	t.Run("part of a granule", func(t *testing.T) { everythingUsed(t, xts.SmallSector, 5*chunkSize+1024) })
}

func everythingUsed(t *testing.T, sectorSize, size int) {
	t.Helper()
	key := make([]byte, xts.KeySize)
	rand.Read(key)
	source := make([]byte, size)
	rand.Read(source)
	clear(source[8192:12288]) // used, but zero
	ranges := []rootfs.Range{
		{Offset: 0, Length: 1024}, {Offset: 5120, Length: 8192}, // blocks of 1 KiB
		{Offset: chunkSize - 4096, Length: 2*chunkSize + 8192},
		{Offset: int64(size) - 1024, Length: 1024},
	}
	const offset = 3 << 20
	cipher, err := xts.New(key, sectorSize)
	if err != nil {
		t.Fatal(err)
	}
	disk := encrypted(t, cipher, source, ranges, offset)
	used := granules(ranges, int64(size))
	for at := int64(0); at < int64(size); at += int64(sectorSize) {
		got := make([]byte, sectorSize)
		copy(got, disk[min(offset+at, int64(len(disk))):])
		inUse := false
		for _, r := range used {
			inUse = inUse || at >= r.Offset && at < r.Offset+r.Length
		}
		if !inUse {
			if !allZero(got) {
				t.Fatalf("sector at %d is free and was written", at)
			}
			continue
		}
		if bytes.Equal(got, source[at:][:sectorSize]) || allZero(got) {
			t.Fatalf("sector at %d is not encrypted", at)
		}
		cipher.Decrypt(got, got, at)
		if !bytes.Equal(got, source[at:][:sectorSize]) {
			t.Fatalf("sector at %d is not what the source has", at)
		}
	}
	if !allZero(disk[:offset]) {
		t.Error("something was written in front of the payload")
	}
}

func TestGranulesEndWithThePayload(t *testing.T) {
	ranges := []rootfs.Range{{Offset: 1024, Length: 1024}, {Offset: 5000, Length: 10}, {Offset: 12288, Length: 512}}
	for size, want := range map[int64][]rootfs.Range{
		16384: {{Length: 8192}, {Offset: 12288, Length: 4096}},
		12800: {{Length: 8192}, {Offset: 12288, Length: 512}},
		12288: {{Length: 8192}},
	} {
		if got := granules(ranges, size); !slices.Equal(got, want) {
			t.Errorf("payload of %d bytes: %v, want %v", size, got, want)
		}
	}
}

func TestNothingIsWrittenBehindThePayload(t *testing.T) {
	key := make([]byte, xts.KeySize)
	rand.Read(key)
	cipher, err := xts.New(key, xts.LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	disk := encrypted(t, cipher, make([]byte, 3*4096), []rootfs.Range{{Length: 3 * 4096}}, 0)
	if len(disk) != 3*4096 {
		t.Errorf("%d bytes were written, of a payload of %d", len(disk), 3*4096)
	}
}

// failing is a disk that is full, or a source that cannot be read.
type failing struct{}

func (failing) WriteAt([]byte, int64) (int, error) { return 0, io.ErrShortWrite }
func (failing) ReadAt([]byte, int64) (int, error)  { return 0, io.ErrClosedPipe }

func TestEncryptionStopsAtErrors(t *testing.T) {
	key := make([]byte, xts.KeySize)
	rand.Read(key)
	cipher, err := xts.New(key, xts.LargeSector)
	if err != nil {
		t.Fatal(err)
	}
	all := []rootfs.Range{{Length: 8 * chunkSize}}
	p := &payload{cipher: cipher, source: bytes.NewReader(nil), target: failing{}, size: 8 * chunkSize}
	if err := p.encrypt(context.Background(), all); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("full disk: got %v", err)
	}
	p.source = failing{}
	if err := p.encrypt(context.Background(), all); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("unreadable source: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.source = bytes.NewReader(nil)
	if err := p.encrypt(ctx, all); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}
