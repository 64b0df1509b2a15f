package gpt_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// small is a disk that a fuzzer can turn over quickly, with a table on it.
func small(tb testing.TB, sectorSize int) memory {
	tb.Helper()
	table := &gpt.Table{SectorSize: sectorSize, Entries: 8, DiskGUID: gpt.GUID{1}}
	for i := range 3 {
		first := table.FirstUsable() + uint64(4*i)
		table.Partitions = append(table.Partitions, gpt.Partition{
			Number: i + 1, Type: guid(tb, gpt.TypeLinux), GUID: gpt.GUID{byte(i)}, First: first, Last: first + 3, Name: "data",
		})
	}
	return written(tb, table, table.MinSize())
}

// FuzzRead gives what was changed the right checksums, so that the checks
// behind them are reached.
func FuzzRead(f *testing.F) {
	f.Add([]byte(small(f, 512)), false)
	f.Add([]byte(small(f, 4096)), true)
	f.Fuzz(func(t *testing.T, b []byte, large bool) {
		sectorSize := 512
		if large {
			sectorSize = 4096
		}
		m := memory(bytes.Clone(b))
		if len(m) >= 2*sectorSize {
			reseal(m, sectorSize)
		}
		_, _, _ = gpt.Detect(m, int64(len(m)))
		table, err := gpt.Read(m, int64(len(m)), sectorSize)
		if err != nil {
			return
		}
		whole := int64(len(m)) / int64(sectorSize) * int64(sectorSize)
		again := make(memory, whole)
		if err := table.Write(again, whole); err != nil {
			return // the source may pack its entries more tightly
		}
		back, err := gpt.Read(again, whole, sectorSize)
		if err != nil || back.Damage != nil {
			t.Fatalf("written but not read: %v %v", err, back)
		}
		if table.DiskGUID != back.DiskGUID || table.Entries != back.Entries || !slices.Equal(table.Partitions, back.Partitions) {
			t.Fatalf("read %+v, written and read %+v", table, back)
		}
	})
}

func FuzzReadMBR(f *testing.F) {
	m := mbr(f)
	// The records of the logical partitions, moved to where a small disk has them.
	tiny := make(memory, 64*512)
	copy(tiny, m[:512])
	put32(mbrEntry(0, 2)+8, 8)(tiny)
	copy(tiny[8*512:9*512], m[8192*512:])
	f.Add([]byte(tiny))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := gpt.ReadMBR(memory(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, p := range table.Partitions {
			if p.First < 1 || p.First > p.Last || p.Last >= uint64(len(b))/512 {
				t.Fatalf("%+v on a disk of %d bytes", p, len(b))
			}
		}
	})
}
