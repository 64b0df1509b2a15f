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

// parseBoot reads the boot sector of a volume that has so many bytes.
func parseBoot(boot []byte, available int64) (*layout, error) {
	u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(boot[at:])) }
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(boot[at:])) }
	sector, perCluster := u16(bpbBytesPerSector), int64(boot[bpbSectorsPerCluster])
	reserved, tables := u16(bpbReservedSectors), int64(boot[bpbFATs])
	switch {
	case boot[bsMark] != 0x55 || boot[bsMark+1] != 0xAA:
		return nil, corrupt("no mark at the end of its boot sector")
	case sector < 512 || sector > 4096 || sector&(sector-1) != 0:
		return nil, corrupt("sectors of %d bytes", sector)
	case perCluster == 0 || perCluster&(perCluster-1) != 0:
		return nil, corrupt("clusters of %d sectors", perCluster)
	case reserved == 0 || tables == 0 || tables > 2:
		return nil, corrupt("%d reserved sectors, %d tables", reserved, tables)
	}
	l := &layout{cluster: sector * perCluster, rootBytes: u16(bpbRootEntries) * entrySize}
	sectors, tableSectors := u16(bpbSectors16), u16(bpbFATSectors16)
	if sectors == 0 {
		sectors = u32(bpbSectors32)
	}
	extended := bsSignature16
	if tableSectors == 0 { // Linux, too, tells FAT32 by this and not by the count of clusters
		l.bits, extended, tableSectors = 32, bsSignature32, u32(bpbFATSectors32)
		if u16(bpbVersion) != 0 {
			return nil, unsupported("FAT32 of version %#x", u16(bpbVersion))
		}
		l.rootFirst = uint32(u32(bpbRootCluster))
	}
	l.size, l.table, l.tableBytes = sectors*sector, reserved*sector, tableSectors*sector
	l.root = l.table + tables*l.tableBytes
	rootSectors := (l.rootBytes + sector - 1) / sector
	l.data = l.root + rootSectors*sector
	if l.size > available {
		return nil, corrupt("%d bytes on a partition of %d", l.size, available)
	}
	if l.data >= l.size {
		return nil, corrupt("no room for files")
	}
	clusters := (l.size - l.data) / l.cluster
	if clusters > maxClusters {
		return nil, unsupported("more than %d clusters", maxClusters)
	}
	l.clusters = uint32(clusters)
	if l.bits == 0 {
		l.bits = 16
		if l.clusters < fat12Clusters {
			l.bits = 12
		}
	}
	if active := u16(bpbExtendedFlags); l.bits == 32 && active&0x80 != 0 { // one table is in use, not all
		if active &= 0xF; active >= tables {
			return nil, corrupt("table %d of %d is in use", active, tables)
		}
		l.table += (u16(bpbExtendedFlags) & 0xF) * l.tableBytes
	}
	if need := ((clusters+firstCluster)*int64(l.bits) + 7) / 8; l.tableBytes < need {
		return nil, corrupt("a table of %d bytes, and %d clusters need %d", l.tableBytes, clusters, need)
	}
	if boot[extended] == 0x29 {
		l.serial = binary.LittleEndian.Uint32(boot[extended+1:])
		l.label = fatLabel(boot[extended+5 : extended+16])
	}
	return l, nil
}

// fatLabel reads a label, which NO NAME stands for none of.
func fatLabel(field []byte) string {
	label := strings.TrimRight(shortText(field), " ")
	if label == "NO NAME" {
		return ""
	}
	return label
}
