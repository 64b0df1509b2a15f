package convert

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/luks2"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/xts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/slots"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// alignment is where the root partition starts and what its growth is a multiple
// of, in bytes.
const alignment = 1 << 20

// layout is the disk to be written.
type layout struct {
	table *gpt.Table
	root  *gpt.Partition // in table
	slots *gpt.Partition // in table: LAUNCH_ARTIFACTS, nil for none
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

// sizes are what a disk is to have, in bytes.
type sizes struct {
	source    int64 // of the source's disk
	wanted    int64 // of the disk; 0 for as large as needed
	artifacts int64 // of LAUNCH_ARTIFACTS, whole MiB; 0 for none
}

// newLayout plans a disk with the partitions of a source, by number, type, GUID,
// attributes and name, in the same order on the disk. The root is moved to a
// whole MiB, behind LAUNCH_ARTIFACTS, and grows by room for the LUKS2 header, and to
// fill a disk of the size that was asked for; what lies behind it moves by as much.
func newLayout(source *gpt.Table, root int, s sizes) (*layout, error) {
	sector := int64(source.SectorSize)
	table := *source
	table.Partitions = append([]gpt.Partition(nil), source.Partitions...)
	table.Damage = nil
	l := &layout{table: &table}
	if s.artifacts != 0 {
		if err := addSlots(&table); err != nil {
			return nil, err
		}
	}
	if l.root = find(&table, root); l.root == nil {
		return nil, fmt.Errorf("partition %d is not in the table", root)
	}
	start := table.Offset(l.root)
	end := start + table.Size(l.root)
	aligned := alignUp(start)
	moved := alignUp(aligned - start + s.artifacts + luks2.PayloadOffset) // of all that lies behind the root's data
	l.size = alignUp(s.source + moved)
	if wanted := s.wanted; wanted != 0 {
		if wanted = wanted / alignment * alignment; wanted < l.size {
			return nil, fmt.Errorf("a disk of %s is too small: the source, the slots for launch bundles and the LUKS2 header need %s: want at least %dM", size.Text(wanted), size.Text(l.size), l.size/alignment)
		}
		moved += wanted - l.size
		l.size = wanted
	}
	for i := range table.Partitions {
		p := &table.Partitions[i]
		if p == l.root || p.Name == slots.Label || table.Offset(p) < end {
			continue
		}
		p.First += uint64(moved / sector)
		p.Last += uint64(moved / sector)
	}
	l.root.First = uint64((aligned + s.artifacts) / sector)
	l.root.Last += uint64(moved / sector)
	if s.artifacts != 0 {
		l.slots = byName(&table, slots.Label)
		l.slots.First, l.slots.Last = uint64(aligned/sector), l.root.First-1
	}
	return l, nil
}

func alignUp(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// addSlots adds LAUNCH_ARTIFACTS to a table, under the first number that is free. It has
// no place yet.
func addSlots(t *gpt.Table) error {
	if p := byName(t, slots.Label); p != nil {
		return fmt.Errorf("partition %d of the source is named %s, as that for launch bundles is: give it another name (sgdisk --change-name)", p.Number, slots.Label)
	}
	kind, err := gpt.ParseGUID(gpt.TypeLinux)
	if err != nil {
		return err
	}
	guid, err := gpt.NewGUID(rand.Reader)
	if err != nil {
		return err
	}
	at := 0
	for at < len(t.Partitions) && t.Partitions[at].Number == at+1 {
		at++
	}
	if entries := max(t.Entries, gpt.DefaultEntries); at+1 > entries {
		return fmt.Errorf("the partition table is full: all %d entries are in use", entries)
	}
	t.Partitions = slices.Insert(t.Partitions, at, gpt.Partition{Number: at + 1, Type: kind, GUID: guid, Name: slots.Label})
	return nil
}

// byName returns the partition of a name, or nil.
func byName(t *gpt.Table, name string) *gpt.Partition {
	for i := range t.Partitions {
		if t.Partitions[i].Name == name {
			return &t.Partitions[i]
		}
	}
	return nil
}

// writeSlots makes LAUNCH_ARTIFACTS, with nothing in it.
func (l *layout) writeSlots(disk io.WriterAt) error {
	if l.slots == nil {
		return nil
	}
	uuid, err := gpt.NewGUID(rand.Reader)
	if err != nil {
		return err
	}
	head, err := slots.Make(uuid, l.table.Size(l.slots))
	if err != nil {
		return err
	}
	if _, err := disk.WriteAt(head, l.table.Offset(l.slots)); err != nil {
		return fmt.Errorf("write %s: %w", slots.Label, err)
	}
	return nil
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
