package convert

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
)

const mib = 1 << 20

// tableOf makes a table of partitions given as number, first MiB and MiB behind
// the last.
func tableOf(sectorSize int, parts ...[3]int64) *gpt.Table {
	t := &gpt.Table{SectorSize: sectorSize}
	for _, p := range parts {
		t.Partitions = append(t.Partitions, gpt.Partition{
			Number: int(p[0]), First: uint64(p[1] * mib / int64(sectorSize)), Last: uint64(p[2]*mib/int64(sectorSize)) - 1,
			Type: gpt.GUID{byte(p[0])}, GUID: gpt.GUID{1, byte(p[0])}, Name: "name", Attributes: 4,
		})
	}
	return t
}

func TestLayoutKeepsWhatIsNotRoot(t *testing.T) {
	for name, test := range map[string]struct {
		source       *gpt.Table
		root         int
		size, wanted int64 // MiB
		want         [][3]int64
		wantSize     int64
	}{
		"root last, as in Debian": {
			tableOf(512, [3]int64{1, 128, 3071}, [3]int64{14, 1, 4}, [3]int64{15, 4, 128}), 1, 3072, 0,
			[][3]int64{{1, 128, 3087}, {14, 1, 4}, {15, 4, 128}}, 3088,
		},
		"root first": {
			tableOf(512, [3]int64{1, 1, 100}, [3]int64{2, 100, 200}, [3]int64{3, 250, 300}), 1, 301, 0,
			[][3]int64{{1, 1, 116}, {2, 116, 216}, {3, 266, 316}}, 317,
		},
		"root in the middle, larger disk, 4096-byte sectors": {
			tableOf(4096, [3]int64{1, 1, 100}, [3]int64{2, 100, 200}, [3]int64{3, 200, 300}), 2, 301, 1024,
			[][3]int64{{1, 1, 100}, {2, 100, 923}, {3, 923, 1023}}, 1024,
		},
	} {
		before := append([]gpt.Partition(nil), test.source.Partitions...)
		l, err := newLayout(test.source, test.root, sizes{test.size * mib, test.wanted * mib, 0})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := tableOf(test.source.SectorSize, test.want...)
		if !reflect.DeepEqual(l.table.Partitions, want.Partitions) || l.size != test.wantSize*mib {
			t.Errorf("%s: got %d MiB, %+v\nwant %d MiB, %+v", name, l.size/mib, l.table.Partitions, test.wantSize, want.Partitions)
		}
		if !reflect.DeepEqual(test.source.Partitions, before) {
			t.Errorf("%s: the source's table was changed", name)
		}
	}
}

func TestLayoutMovesRootToWholeMiB(t *testing.T) {
	source := &gpt.Table{SectorSize: 512, Partitions: []gpt.Partition{
		{Number: 1, First: 63, Last: 63 + 100*mib/512 - 1}, {Number: 2, First: 300 * mib / 512, Last: 301*mib/512 - 1},
	}}
	l, err := newLayout(source, 1, sizes{source: 302 * mib})
	if err != nil {
		t.Fatal(err)
	}
	if start := l.table.Offset(l.root); start != mib {
		t.Errorf("the root starts at byte %d", start)
	}
	if size := l.table.Size(l.root); size < 116*mib {
		t.Errorf("the root has %d bytes, too few for its data and the header", size)
	}
	if next := find(l.table, 2); l.table.Offset(next) < l.table.Offset(l.root)+l.table.Size(l.root) {
		t.Error("the next partition begins inside of the root")
	}
	if last := l.table.LastUsable(l.size); find(l.table, 2).Last > last {
		t.Error("the last partition leaves the disk")
	}
}

func TestTooSmallDisksAreRefused(t *testing.T) {
	if _, err := newLayout(tableOf(512, [3]int64{1, 1, 100}), 1, sizes{source: 101 * mib, wanted: 101 * mib}); err == nil {
		t.Error("a disk of the source's size was taken, and it has no room for the header")
	}
	if _, err := newLayout(tableOf(512, [3]int64{1, 1, 100}), 2, sizes{source: 101 * mib}); err == nil {
		t.Error("a root that is not in the table was taken")
	}
}

// TestLayoutPutsSlotsBeforeTheRoot: the root is still the last partition, and can grow.
func TestLayoutPutsSlotsBeforeTheRoot(t *testing.T) {
	for name, test := range map[string]struct {
		source *gpt.Table
		root   int
		size   int64 // MiB
		want   [][3]int64
	}{
		"root last, as in Debian": {tableOf(512, [3]int64{1, 128, 3071}, [3]int64{14, 1, 4}, [3]int64{15, 4, 128}), 1, 3072, [][3]int64{{1, 160, 3119}, {2, 128, 160}, {14, 1, 4}, {15, 4, 128}}},
		"root in the middle":      {tableOf(4096, [3]int64{2, 1, 100}, [3]int64{3, 100, 200}, [3]int64{4, 200, 300}), 3, 301, [][3]int64{{1, 100, 132}, {2, 1, 100}, {3, 132, 248}, {4, 248, 348}}},
	} {
		l, err := newLayout(test.source, test.root, sizes{source: test.size * mib, artifacts: 32 * mib})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, p := range l.table.Partitions {
			want := test.want[i]
			if int64(p.Number) != want[0] || l.table.Offset(&p) != want[1]*mib || l.table.Offset(&p)+l.table.Size(&p) != want[2]*mib {
				t.Errorf("%s: partition %d at %d with %d MiB, want %v", name, p.Number, l.table.Offset(&p)/mib, l.table.Size(&p)/mib, want)
			}
		}
		if l.slots == nil || l.slots.Name != slots.Label || l.root.Number != test.root {
			t.Errorf("%s: %+v, %+v", name, l.slots, l.root)
		}
		disk := make(memoryDisk, l.size)
		if err := errors.Join(l.writeSlots(disk), l.table.Write(disk, l.size)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		at := l.table.Offset(l.slots)
		if _, err := slots.Open(disk[at:at+32*mib], 32*mib); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	named := tableOf(512, [3]int64{1, 1, 100})
	named.Partitions[0].Name = slots.Label
	if _, err := newLayout(named, 1, sizes{source: 101 * mib, artifacts: 32 * mib}); err == nil || !strings.Contains(err.Error(), "give it another name") {
		t.Errorf("a source with a partition of that name: %v", err)
	}
	full := tableOf(512)
	for n := range int64(gpt.DefaultEntries) {
		full.Partitions = append(full.Partitions, tableOf(512, [3]int64{n + 1, n + 1, n + 2}).Partitions...)
	}
	if _, err := newLayout(full, 1, sizes{source: 200 * mib, artifacts: 32 * mib}); err == nil || !strings.Contains(err.Error(), "is full") {
		t.Errorf("a full table: %v", err)
	}
}

// memoryDisk is a disk in memory.
type memoryDisk []byte

func (m memoryDisk) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m[off:]), nil }
func (m memoryDisk) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }
func (m memoryDisk) Sync() error                              { return nil }
