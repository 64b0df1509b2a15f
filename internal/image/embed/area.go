package embed

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/disk/gpt"
)

// alignment is where partitions start and what their sizes are multiples of, in
// bytes.
const alignment = 1 << 20

func alignUp(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// area is where a file system is going to be.
type area struct {
	offset, size int64
	disk         int64 // size that the disk has to have
}

// place finds room behind all other partitions, in which nothing is yet: beside
// the present file system if it fits there, otherwise behind the present end of
// the disk. There neither the file system nor the backup of the table as they are
// is touched.
func place(t *gpt.Table, own *gpt.Partition, disk, size int64) area {
	behind := int64(0) // the end of the other partitions
	for i := range t.Partitions {
		if p := &t.Partitions[i]; p != own {
			behind = max(behind, t.Offset(p)+t.Size(p))
		}
	}
	usable := int64(t.LastUsable(disk)+1) * int64(t.SectorSize)
	start, end := alignUp(max(behind, int64(t.FirstUsable())*int64(t.SectorSize))), usable
	if own != nil {
		if at := t.Offset(own); at >= behind && at-start >= size {
			return area{start, size, disk}
		}
		start = alignUp(max(behind, t.Offset(own)+t.Size(own)))
	}
	if end-start >= size {
		return area{start, size, disk}
	}
	start = alignUp(disk)
	return area{start, size, start + size + alignment}
}

// point makes the table's partition cover the area, as a new one if there is
// none, and returns its number.
func point(t *gpt.Table, own *gpt.Partition, a area, guid gpt.GUID) (int, error) {
	if own == nil {
		kind, err := gpt.ParseGUID(gpt.TypeLinux)
		if err != nil {
			return 0, err
		}
		number := freeNumber(t)
		if number == 0 {
			return 0, fmt.Errorf("%w: its partition table is full", ErrDisk)
		}
		at := 0
		for at < len(t.Partitions) && t.Partitions[at].Number < number {
			at++
		}
		t.Partitions = append(t.Partitions[:at:at], append([]gpt.Partition{{Number: number, Type: kind, GUID: guid}}, t.Partitions[at:]...)...)
		own = &t.Partitions[at]
	}
	own.Name = label
	own.First = uint64(a.offset / int64(t.SectorSize))
	own.Last = uint64((a.offset+a.size)/int64(t.SectorSize)) - 1
	return own.Number, nil
}

// freeNumber returns the first number that no partition has; 0 if there is none.
func freeNumber(t *gpt.Table) int {
	used := map[int]bool{}
	for _, p := range t.Partitions {
		used[p.Number] = true
	}
	for n := 1; n <= max(t.Entries, gpt.DefaultEntries) && (t.Entries == 0 || n <= t.Entries); n++ {
		if !used[n] {
			return n
		}
	}
	return 0
}
