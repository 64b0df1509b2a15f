package gpt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// Write writes the table to a disk of size bytes: the backup at its end, then
// the primary table, then the protective MBR. Where w can Sync, the backup is
// durable before the primary is touched, so that one of them is whole at any
// moment. Nothing is written when the table does not fit the disk or has
// partitions that overlap; the error then wraps ErrTable.
func (t *Table) Write(w io.WriterAt, size int64) error {
	h, array, err := t.primary(size)
	if err != nil {
		return err
	}
	last := h.alternate
	if err := t.writeCopy(w, t.backup(h, size), array); err != nil {
		return fmt.Errorf("write backup GPT: %w", err)
	}
	if err := t.writeCopy(w, h, array); err != nil {
		return fmt.Errorf("write GPT: %w", err)
	}
	if _, err := w.WriteAt(protectiveMBR(last, t.SectorSize), 0); err != nil {
		return fmt.Errorf("write protective MBR: %w", err)
	}
	return nil
}

// primary returns the primary header and the entries for a disk of size bytes,
// if they fit.
func (t *Table) primary(size int64) (*header, []byte, error) {
	if t.SectorSize != 512 && t.SectorSize != 4096 {
		return nil, nil, fmt.Errorf("%w: logical sectors of %d bytes, want 512 or 4096", ErrTable, t.SectorSize)
	}
	if size%int64(t.SectorSize) != 0 || t.entries() < 1 || t.LastUsable(size) < t.FirstUsable() {
		return nil, nil, fmt.Errorf("%w: no GPT fits a disk of %d bytes", ErrTable, size)
	}
	if err := t.check(t.FirstUsable(), t.LastUsable(size)); err != nil {
		return nil, nil, err
	}
	array, err := t.array()
	if err != nil {
		return nil, nil, err
	}
	return &header{
		my: 1, alternate: uint64(size)/uint64(t.SectorSize) - 1, arrayLBA: primaryArray,
		firstUsable: t.FirstUsable(), lastUsable: t.LastUsable(size),
		diskGUID: t.DiskGUID, entries: uint32(t.entries()), entrySize: entrySize,
		arrayCRC: crc32.ChecksumIEEE(array[:t.entries()*entrySize]),
	}, array, nil
}

// primaryArray is the sector in which the entries of the primary table start.
const primaryArray = 2

// backup returns the backup's header.
func (t *Table) backup(primary *header, size int64) *header {
	h := *primary
	h.my, h.alternate, h.arrayLBA = primary.alternate, primary.my, t.LastUsable(size)+1
	return &h
}

// array returns the entries, filled up to whole sectors.
func (t *Table) array() ([]byte, error) {
	array := make([]byte, t.arraySectors()*uint64(t.SectorSize))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		entry, err := p.encode()
		if err != nil {
			return nil, err
		}
		copy(array[(p.Number-1)*entrySize:], entry)
	}
	return array, nil
}

// writeCopy writes entries and header in the order that leaves no header with
// the wrong entries for longer than need be.
func (t *Table) writeCopy(w io.WriterAt, h *header, array []byte) error {
	if _, err := w.WriteAt(array, int64(h.arrayLBA)*int64(t.SectorSize)); err != nil {
		return err
	}
	if _, err := w.WriteAt(h.encode(t.SectorSize), int64(h.my)*int64(t.SectorSize)); err != nil {
		return err
	}
	if s, ok := w.(interface{ Sync() error }); ok {
		return s.Sync()
	}
	return nil
}

// protectiveMBR returns the disk's first sector: one partition of type 0xEE
// over the whole disk (UEFI 2.10, table 5.4).
func protectiveMBR(last uint64, sectorSize int) []byte {
	b := make([]byte, sectorSize)
	entry := b[mbrEntries:]
	copy(entry[1:], []byte{0x00, 0x02, 0x00, typeProtective, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[mbrFirst:], 1)
	binary.LittleEndian.PutUint32(entry[mbrSectors:], uint32(min(last, 0xffffffff)))
	binary.LittleEndian.PutUint16(b[mbrSignature:], mbrMagic)
	return b
}
