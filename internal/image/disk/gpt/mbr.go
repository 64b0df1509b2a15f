package gpt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Master boot record, UEFI 2.10 tables 5.1 and 5.2: offsets in bytes, little
// endian.
const (
	mbrSize      = 512
	mbrDiskID    = 440
	mbrEntries   = 446
	mbrSignature = 510
	mbrMagic     = 0xaa55

	mbrEntrySize = 16
	mbrStatus    = 0
	mbrType      = 4
	mbrFirst     = 8
	mbrSectors   = 12
)

// Types of partitions in a master boot record that have a meaning here.
const (
	typeExtended      = 0x05
	typeExtendedLBA   = 0x0f
	typeExtendedLinux = 0x85
	typeProtective    = 0xee
)

// maxLogical bounds the chain of logical partitions.
const maxLogical = 124

// MBR is the partition table of a master boot record. Its sectors have 512
// bytes: disks with larger ones carry a GPT.
type MBR struct {
	DiskID     uint32
	Partitions []MBRPartition // by rising Number, extended ones left out
}

// MBRPartition is a primary (1 to 4) or logical (from 5) partition.
type MBRPartition struct {
	Number      int
	Type        byte
	Active      bool
	First, Last uint64 // sectors of 512 bytes, Last included
}

// mbrEntry is one of the four entries of a boot record.
type mbrEntry struct {
	status, kind   byte
	first, sectors uint64
}

func (e *mbrEntry) extended() bool {
	return e.kind == typeExtended || e.kind == typeExtendedLBA || e.kind == typeExtendedLinux
}

// parseRecord reads the entries of a boot record; nil if it is none.
func parseRecord(b []byte) []mbrEntry {
	if len(b) < mbrSize || binary.LittleEndian.Uint16(b[mbrSignature:]) != mbrMagic {
		return nil
	}
	entries := make([]mbrEntry, 4)
	for i := range entries {
		e := b[mbrEntries+i*mbrEntrySize:]
		entries[i] = mbrEntry{
			status:  e[mbrStatus],
			kind:    e[mbrType],
			first:   uint64(binary.LittleEndian.Uint32(e[mbrFirst:])),
			sectors: uint64(binary.LittleEndian.Uint32(e[mbrSectors:])),
		}
		// Boot code of a bare file system also ends in the signature.
		if entries[i].status&0x7f != 0 {
			return nil
		}
	}
	return entries
}

// ReadMBR takes the partitions of a master boot record on a disk of size bytes.
// Partitions outside of the disk or of their extended partition, those that
// overlap, a second extended partition, and a chain of logical ones that is
// endless or longer than 124 are refused. The error wraps ErrTable, or is the
// reader's.
func ReadMBR(r io.ReaderAt, size int64) (*MBR, error) {
	d := &disk{r: r, sectors: uint64(max(size, 0)) / mbrSize, sectorSize: mbrSize}
	b, err := d.read(0, mbrSize)
	if err != nil {
		return nil, err
	}
	m := &MBR{DiskID: binary.LittleEndian.Uint32(b[mbrDiskID:])}
	var extended *mbrEntry
	entries := parseRecord(b)
	if entries == nil {
		return nil, fmt.Errorf("%w: no master boot record", ErrTable)
	}
	for i := range entries {
		switch e := &entries[i]; {
		case e.kind == 0:
		case e.kind == typeProtective:
			return nil, fmt.Errorf("%w: the master boot record belongs to a GPT", ErrTable)
		case !e.extended():
			m.add(i+1, e, e.first)
		case extended != nil:
			return nil, fmt.Errorf("%w: more than one extended partition", ErrTable)
		default:
			extended = e
		}
	}
	if extended != nil {
		if err := m.readLogical(d, extended); err != nil {
			return nil, err
		}
	}
	return m, m.check(d.sectors, extended)
}

// add appends an entry that starts at the given sector; check looks at it later.
func (m *MBR) add(number int, e *mbrEntry, first uint64) {
	m.Partitions = append(m.Partitions, MBRPartition{
		Number: number, Type: e.kind, Active: e.status != 0,
		First: first, Last: first + e.sectors - 1,
	})
}

// readLogical follows the chain of boot records in the extended partition. In
// each, the first entry counts from the record itself, the second, which names
// the next record, from the start of the extended partition.
func (m *MBR) readLogical(d *disk, extended *mbrEntry) error {
	at := extended.first
	for number := 5; number < 5+maxLogical; number++ {
		if at >= min(extended.first+extended.sectors, d.sectors) {
			return fmt.Errorf("%w: boot record of partition %d is in sector %d, outside of the extended partition", ErrTable, number, at)
		}
		b, err := d.read(at, mbrSize)
		if err != nil {
			return err
		}
		entries := parseRecord(b)
		if entries == nil {
			return fmt.Errorf("%w: no boot record of partition %d in sector %d", ErrTable, number, at)
		}
		if entries[0].kind != 0 {
			m.add(number, &entries[0], at+entries[0].first)
		}
		if !entries[1].extended() {
			return nil
		}
		at = extended.first + entries[1].first
	}
	return fmt.Errorf("%w: more than %d logical partitions", ErrTable, maxLogical)
}
