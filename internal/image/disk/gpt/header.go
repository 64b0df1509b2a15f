package gpt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// GPT header, UEFI 2.10 table 5.5: offsets in bytes, little endian.
const (
	signature  = "EFI PART"
	revision   = 0x00010000
	headerSize = 92

	offRevision    = 8
	offHeaderSize  = 12
	offHeaderCRC   = 16
	offMyLBA       = 24
	offAlternate   = 32
	offFirstUsable = 40
	offLastUsable  = 48
	offDiskGUID    = 56
	offArrayLBA    = 72
	offEntries     = 80
	offEntrySize   = 84
	offArrayCRC    = 88
)

// header is one of the two headers of a table. Sectors are logical ones.
type header struct {
	my, alternate           uint64
	firstUsable, lastUsable uint64
	diskGUID                GUID
	arrayLBA                uint64
	entries, entrySize      uint32
	arrayCRC                uint32
}

// isHeader says whether a sector has the signature of a header.
func isHeader(sector []byte) bool { return bytes.HasPrefix(sector, []byte(signature)) }

// parseHeader checks what can be checked from the header's sector alone.
func parseHeader(sector []byte, lba uint64) (*header, error) {
	if !isHeader(sector) {
		return nil, fmt.Errorf("%w: no GPT header in sector %d", ErrTable, lba)
	}
	size := binary.LittleEndian.Uint32(sector[offHeaderSize:])
	if size < headerSize || int64(size) > int64(len(sector)) {
		return nil, fmt.Errorf("%w: GPT header of %d bytes in sector %d", ErrTable, size, lba)
	}
	sum := bytes.Clone(sector[:size])
	clear(sum[offHeaderCRC : offHeaderCRC+4])
	if crc32.ChecksumIEEE(sum) != binary.LittleEndian.Uint32(sector[offHeaderCRC:]) {
		return nil, fmt.Errorf("%w: checksum of the GPT header in sector %d is wrong", ErrTable, lba)
	}
	if r := binary.LittleEndian.Uint32(sector[offRevision:]); r != revision {
		return nil, fmt.Errorf("%w: GPT header of revision 0x%08x in sector %d", ErrTable, r, lba)
	}
	h := &header{
		my:          binary.LittleEndian.Uint64(sector[offMyLBA:]),
		alternate:   binary.LittleEndian.Uint64(sector[offAlternate:]),
		firstUsable: binary.LittleEndian.Uint64(sector[offFirstUsable:]),
		lastUsable:  binary.LittleEndian.Uint64(sector[offLastUsable:]),
		diskGUID:    GUID(sector[offDiskGUID:offArrayLBA]),
		arrayLBA:    binary.LittleEndian.Uint64(sector[offArrayLBA:]),
		entries:     binary.LittleEndian.Uint32(sector[offEntries:]),
		entrySize:   binary.LittleEndian.Uint32(sector[offEntrySize:]),
		arrayCRC:    binary.LittleEndian.Uint32(sector[offArrayCRC:]),
	}
	if h.my != lba {
		return nil, fmt.Errorf("%w: GPT header in sector %d says that it is in sector %d", ErrTable, lba, h.my)
	}
	return h, nil
}

// check compares the header with the disk of so many sectors.
func (h *header) check(sectors uint64, sectorSize int) error {
	if h.entries < 1 || h.entries > maxEntries {
		return fmt.Errorf("%w: room for %d partitions, want 1 to %d", ErrTable, h.entries, maxEntries)
	}
	if s := h.entrySize; s < entrySize || s > maxEntrySize || s&(s-1) != 0 {
		return fmt.Errorf("%w: entries of %d bytes", ErrTable, s)
	}
	if h.firstUsable < 2 || h.firstUsable > h.lastUsable || h.lastUsable >= sectors {
		return fmt.Errorf("%w: usable sectors are %d to %d on a disk of %d", ErrTable, h.firstUsable, h.lastUsable, sectors)
	}
	length := (uint64(h.entries)*uint64(h.entrySize) + uint64(sectorSize) - 1) / uint64(sectorSize)
	inFront := h.arrayLBA >= 2 && h.arrayLBA < h.firstUsable && h.firstUsable-h.arrayLBA >= length
	behind := h.arrayLBA > h.lastUsable && h.arrayLBA < sectors && sectors-h.arrayLBA >= length
	if !inFront && !behind {
		return fmt.Errorf("%w: the entries in sector %d are among the partitions or outside of the disk", ErrTable, h.arrayLBA)
	}
	return nil
}

// encode returns the header's sector.
func (h *header) encode(sectorSize int) []byte {
	b := make([]byte, sectorSize)
	copy(b, signature)
	binary.LittleEndian.PutUint32(b[offRevision:], revision)
	binary.LittleEndian.PutUint32(b[offHeaderSize:], headerSize)
	binary.LittleEndian.PutUint64(b[offMyLBA:], h.my)
	binary.LittleEndian.PutUint64(b[offAlternate:], h.alternate)
	binary.LittleEndian.PutUint64(b[offFirstUsable:], h.firstUsable)
	binary.LittleEndian.PutUint64(b[offLastUsable:], h.lastUsable)
	copy(b[offDiskGUID:], h.diskGUID[:])
	binary.LittleEndian.PutUint64(b[offArrayLBA:], h.arrayLBA)
	binary.LittleEndian.PutUint32(b[offEntries:], h.entries)
	binary.LittleEndian.PutUint32(b[offEntrySize:], h.entrySize)
	binary.LittleEndian.PutUint32(b[offArrayCRC:], h.arrayCRC)
	binary.LittleEndian.PutUint32(b[offHeaderCRC:], crc32.ChecksumIEEE(b[:headerSize]))
	return b
}
