package fat

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/rootfs"
)

// The BIOS parameter block, by its offsets in the first sector.
const (
	bpbBytesPerSector    = 11
	bpbSectorsPerCluster = 13
	bpbReservedSectors   = 14
	bpbFATs              = 16
	bpbRootEntries       = 17
	bpbSectors16         = 19
	bpbFATSectors16      = 22
	bpbSectors32         = 32
	bpbFATSectors32      = 36 // FAT32 from here on
	bpbExtendedFlags     = 40
	bpbVersion           = 42
	bpbRootCluster       = 44
	bsSignature16        = 38 // 0x29: serial number and label follow
	bsSignature32        = 66
	bsMark               = 510 // 0x55, 0xAA
	bootSize             = 512
)

// Clusters count from 2.
const firstCluster = 2

// fat12Clusters is how many clusters are too many for FAT12.
const fat12Clusters = 4085

// layout is where the parts of a volume lie, in bytes and clusters.
type layout struct {
	bits       int // of an entry of the table: 12, 16 or 32
	size       int64
	cluster    int64 // bytes
	clusters   uint32
	table      int64 // offset of the table in use
	tableBytes int64
	root       int64 // offset of the root directory of FAT12 and FAT16
	rootBytes  int64
	rootFirst  uint32 // cluster of that of FAT32
	data       int64  // offset of cluster 2
	serial     uint32
	label      string
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: FAT: %s", rootfs.ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: FAT: %s", rootfs.ErrUnsupported, fmt.Sprintf(format, args...))
}

// bpb reads numbers of a boot sector.
type bpb []byte

func (b bpb) u16(at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
func (b bpb) u32(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }

// check refuses sizes that make no sense.
func (b bpb) check() error {
	sector, perCluster := b.u16(bpbBytesPerSector), b[bpbSectorsPerCluster]
	switch {
	case b[bsMark] != 0x55 || b[bsMark+1] != 0xAA:
		return corrupt("no mark at the end of its boot sector")
	case sector < 512 || sector > 4096 || sector&(sector-1) != 0:
		return corrupt("sectors of %d bytes", sector)
	case perCluster == 0 || perCluster&(perCluster-1) != 0:
		return corrupt("clusters of %d sectors", perCluster)
	case b.u16(bpbReservedSectors) == 0 || b[bpbFATs] == 0 || b[bpbFATs] > 2:
		return corrupt("%d reserved sectors, %d tables", b.u16(bpbReservedSectors), b[bpbFATs])
	case b.wide() && b.u16(bpbVersion) != 0:
		return unsupported("FAT32 of version %#x", b.u16(bpbVersion))
	}
	return nil
}

// wide says whether it is FAT32. Linux, too, tells by this and not by the count of
// clusters.
func (b bpb) wide() bool { return b.u16(bpbFATSectors16) == 0 }

// parseBoot reads the boot sector of a volume that has so many bytes.
func parseBoot(b bpb, available int64) (*layout, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	sector, tables := b.u16(bpbBytesPerSector), int64(b[bpbFATs])
	l := &layout{cluster: sector * int64(b[bpbSectorsPerCluster]), rootBytes: b.u16(bpbRootEntries) * entrySize}
	sectors, tableSectors, extended := b.u16(bpbSectors16), b.u16(bpbFATSectors16), bsSignature16
	if sectors == 0 {
		sectors = b.u32(bpbSectors32)
	}
	if b.wide() {
		l.bits, extended, tableSectors = 32, bsSignature32, b.u32(bpbFATSectors32)
		l.rootFirst = uint32(b.u32(bpbRootCluster))
	}
	l.size, l.table, l.tableBytes = sectors*sector, b.u16(bpbReservedSectors)*sector, tableSectors*sector
	l.root = l.table + tables*l.tableBytes
	l.data = l.root + (l.rootBytes+sector-1)/sector*sector
	if err := l.measure(available); err != nil {
		return nil, err
	}
	if flags := b.u16(bpbExtendedFlags); l.bits == 32 && flags&0x80 != 0 { // one table is in use, not all
		active := flags & 0xF
		if active >= tables {
			return nil, corrupt("table %d of %d is in use", active, tables)
		}
		l.table += active * l.tableBytes
	}
	if b[extended] == 0x29 {
		l.serial = binary.LittleEndian.Uint32(b[extended+1:])
		l.label = fatLabel(b[extended+5 : extended+16])
	}
	return l, nil
}

// measure counts the clusters and sees that everything has room.
func (l *layout) measure(available int64) error {
	if l.size > available {
		return corrupt("%d bytes on a partition of %d", l.size, available)
	}
	if l.data >= l.size {
		return corrupt("no room for files")
	}
	clusters := (l.size - l.data) / l.cluster
	if clusters > maxClusters {
		return unsupported("more than %d clusters", maxClusters)
	}
	l.clusters = uint32(clusters)
	if l.bits == 0 {
		l.bits = 16
		if l.clusters < fat12Clusters {
			l.bits = 12
		}
	}
	if need := ((clusters+firstCluster)*int64(l.bits) + 7) / 8; l.tableBytes < need {
		return corrupt("a table of %d bytes, and %d clusters need %d", l.tableBytes, clusters, need)
	}
	return nil
}

// fatLabel reads a label, which NO NAME stands for none of.
func fatLabel(field []byte) string {
	label := strings.TrimRight(shortText(field), " ")
	if label == "NO NAME" {
		return ""
	}
	return label
}
