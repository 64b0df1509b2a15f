package gpt

import (
	"fmt"
	"slices"
)

// DefaultEntries is how many partitions a table has room for unless it says
// otherwise: the 16 KiB that UEFI asks for at least.
const DefaultEntries = 128

// maxEntries bounds the room of a table that is read or written.
const maxEntries = 1024

// Table is a GUID partition table.
type Table struct {
	DiskGUID   GUID
	SectorSize int         // bytes of a logical sector: 512 or 4096
	Entries    int         // how many partitions there is room for; 0 for DefaultEntries
	Partitions []Partition // by rising Number; numbers may be missing
	// Damage says what Read found wrong with one of the two copies, or between
	// them, while the other copy was whole; nil if nothing was. Write ignores it.
	Damage error
}

// Partition is one entry of the table.
type Partition struct {
	Number      int // from 1, as in /dev/sda1
	Type        GUID
	GUID        GUID   // unique, PARTUUID
	First, Last uint64 // logical sectors (LBA), Last included
	Attributes  uint64
	Name        string // at most 36 UTF-16 units, PARTLABEL

	raw [nameSize]byte // Name as it was read, which may be no proper UTF-16
}

// Offset returns where the partition starts, in bytes from the disk's start.
func (t *Table) Offset(p *Partition) int64 { return int64(p.First) * int64(t.SectorSize) }

// Size returns the partition's size in bytes.
func (t *Table) Size(p *Partition) int64 { return int64(p.Last-p.First+1) * int64(t.SectorSize) }

// Find returns the partition with the given unique GUID, or nil.
func (t *Table) Find(guid GUID) *Partition {
	for i := range t.Partitions {
		if t.Partitions[i].GUID == guid {
			return &t.Partitions[i]
		}
	}
	return nil
}

// FirstUsable returns the first logical sector that a partition may use.
func (t *Table) FirstUsable() uint64 { return 2 + t.arraySectors() }

// LastUsable returns the last logical sector that a partition may use on a disk
// of size bytes; 0 if the disk has no room for any.
func (t *Table) LastUsable(size int64) uint64 {
	sectors, tail := uint64(max(size, 0))/uint64(t.SectorSize), 2+t.arraySectors()
	if sectors < tail {
		return 0
	}
	return sectors - tail
}

// MinSize returns the bytes of the smallest disk that holds the partitions and
// both copies of the table.
func (t *Table) MinSize() int64 {
	last := t.FirstUsable()
	for _, p := range t.Partitions {
		last = max(last, p.Last)
	}
	return int64(last+1+t.arraySectors()+1) * int64(t.SectorSize)
}

// same says whether two copies of a table tell the same.
func (t *Table) same(o *Table) bool {
	return t.DiskGUID == o.DiskGUID && t.Entries == o.Entries && slices.Equal(t.Partitions, o.Partitions)
}

func (t *Table) entries() int {
	if t.Entries == 0 {
		return DefaultEntries
	}
	return t.Entries
}

// arraySectors is the sectors that one copy of the entries fills.
func (t *Table) arraySectors() uint64 {
	return uint64((t.entries()*entrySize + t.SectorSize - 1) / t.SectorSize)
}

// check refuses what neither Read nor Write may let through, with partitions
// limited to the sectors first to last. The error wraps ErrTable.
func (t *Table) check(first, last uint64) error {
	if t.entries() < 1 || t.entries() > maxEntries {
		return fmt.Errorf("%w: room for %d partitions, want 1 to %d", ErrTable, t.entries(), maxEntries)
	}
	guids := map[GUID]int{}
	for i, p := range t.Partitions {
		if p.Number < 1 || p.Number > t.entries() || (i > 0 && p.Number <= t.Partitions[i-1].Number) {
			return fmt.Errorf("%w: partition number %d is out of order or above %d", ErrTable, p.Number, t.entries())
		}
		if p.Type.IsZero() {
			return fmt.Errorf("%w: partition %d has no type", ErrTable, p.Number)
		}
		if p.First < first || p.Last > last || p.First > p.Last {
			return fmt.Errorf("%w: partition %d has sectors %d to %d, outside of %d to %d", ErrTable, p.Number, p.First, p.Last, first, last)
		}
		if other, taken := guids[p.GUID]; taken {
			return fmt.Errorf("%w: partitions %d and %d have the same GUID %s", ErrTable, other, p.Number, p.GUID)
		}
		guids[p.GUID] = p.Number
	}
	return t.checkOverlap()
}

func (t *Table) checkOverlap() error {
	sorted := slices.Clone(t.Partitions)
	slices.SortFunc(sorted, func(a, b Partition) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	for i := 1; i < len(sorted); i++ {
		if a, b := &sorted[i-1], &sorted[i]; b.First <= a.Last {
			return fmt.Errorf("%w: partitions %d and %d overlap at sector %d", ErrTable, a.Number, b.Number, b.First)
		}
	}
	return nil
}
