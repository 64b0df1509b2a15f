package convert

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// alignment is where the root partition starts and what its growth is a multiple
// of, in bytes.
const alignment = 1 << 20

// layout is the disk to be written.
type layout struct {
	table *gpt.Table
	root  *gpt.Partition // in table
	size  int64          // of the disk, in bytes

	sectorSize int // of the encryption, in bytes; that of the disk is the table's
}

// sectorFor returns the size of the sectors in which the file system of a root is
// encrypted: large ones where Linux mounts it on a device that has such, since they
// are faster.
func sectorFor(root *workingCopy) (int, error) {
	largest, err := rootfs.LargestSector(root.reader(), root.kind)
	if err != nil {
		return 0, fmt.Errorf("root file system: %w", err)
	}
	if largest < xts.LargeSector {
		return xts.SmallSector, nil
	}
	return xts.LargeSector, nil
}

// newLayout plans a disk with the partitions of a source, by number, type, GUID,
// attributes and name, in the same order on the disk. The root is moved to a
// whole MiB and grows by room for the LUKS2 header, and to fill a disk of the
// size that was asked for; what lies behind it moves by as much.
func newLayout(source *gpt.Table, root int, sourceSize, wanted int64) (*layout, error) {
	sector := int64(source.SectorSize)
	table := *source
	table.Partitions = append([]gpt.Partition(nil), source.Partitions...)
	table.Damage = nil
	l := &layout{table: &table, root: find(&table, root)}
	if l.root == nil {
		return nil, fmt.Errorf("partition %d is not in the table", root)
	}
	start := table.Offset(l.root)
	end := start + table.Size(l.root)
	aligned := (start + alignment - 1) / alignment * alignment
	moved := aligned - start + luks2.PayloadOffset // of all that lies behind the root's data
	moved = (moved + alignment - 1) / alignment * alignment
	l.size = (sourceSize + moved + alignment - 1) / alignment * alignment
	if wanted != 0 {
		if wanted = wanted / alignment * alignment; wanted < l.size {
			return nil, fmt.Errorf("a disk of %s is too small: the source and the LUKS2 header need %s: want at least %dM", size.Text(wanted), size.Text(l.size), l.size/alignment)
		}
		moved += wanted - l.size
		l.size = wanted
	}
	for i := range table.Partitions {
		p := &table.Partitions[i]
		if p == l.root || table.Offset(p) < end {
			continue
		}
		p.First += uint64(moved / sector)
		p.Last += uint64(moved / sector)
	}
	l.root.First = uint64(aligned / sector)
	l.root.Last += uint64(moved / sector)
	return l, nil
}

// find returns the partition of a number, or nil.
func find(t *gpt.Table, number int) *gpt.Partition {
	for i := range t.Partitions {
		if t.Partitions[i].Number == number {
			return &t.Partitions[i]
		}
	}
	return nil
}
