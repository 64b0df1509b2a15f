package gpt

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Disk is a disk whose table is replaced. What was written is durable after Sync.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Replace is Write for a disk of size bytes that has a GPT and is in use: the
// change is one write of one sector, the primary header, and the primary table
// is whole before and after it. That is more than having one whole copy at any
// time: Linux does not look at the backup unless it is told to ("gpt").
//
// The new backup comes first; then the primary header is made to point to the
// backup's entries, which is the change; then the primary's own entries are
// written and the header points to them. Boot code is kept. A disk whose primary
// table is damaged is refused with ErrTable.
func (t *Table) Replace(d Disk, size int64) error {
	h, array, err := t.primary(size)
	if err != nil {
		return err
	}
	if err := settle(d, size, t.SectorSize); err != nil {
		return err
	}
	backup := t.backup(h, size)
	if err := t.writeCopy(d, backup, array); err != nil {
		return fmt.Errorf("write backup GPT: %w", err)
	}
	across := *h
	across.arrayLBA = backup.arrayLBA
	if err := writeSynced(d, across.encode(t.SectorSize), int64(t.SectorSize)); err != nil {
		return fmt.Errorf("write GPT header: %w", err)
	}
	if err := writeSynced(d, array, primaryArray*int64(t.SectorSize)); err != nil {
		return fmt.Errorf("write GPT entries: %w", err)
	}
	if err := writeSynced(d, h.encode(t.SectorSize), int64(t.SectorSize)); err != nil {
		return fmt.Errorf("write GPT header: %w", err)
	}
	return t.growProtective(d, h.alternate)
}

// settle finishes what an interrupted Replace has left: a primary header that
// points to the backup's entries, which are about to be overwritten.
func settle(w Disk, size int64, sectorSize int) error {
	d := &disk{r: w, sectors: uint64(size) / uint64(sectorSize), sectorSize: sectorSize}
	h, _, err := d.table(1)
	if err != nil {
		return fmt.Errorf("the primary GPT has to be whole to be replaced: %w", err)
	}
	if h.arrayLBA < h.firstUsable {
		return nil
	}
	array, err := d.read(h.arrayLBA, int(h.entries*h.entrySize))
	if err != nil {
		return err
	}
	if uint64(len(array)) > (h.firstUsable-primaryArray)*uint64(sectorSize) {
		return fmt.Errorf("%w: %d bytes of entries do not fit before sector %d", ErrTable, len(array), h.firstUsable)
	}
	if err := writeSynced(w, array, primaryArray*int64(sectorSize)); err != nil {
		return fmt.Errorf("write GPT entries: %w", err)
	}
	h.arrayLBA = primaryArray
	if err := writeSynced(w, h.encode(sectorSize), int64(sectorSize)); err != nil {
		return fmt.Errorf("write GPT header: %w", err)
	}
	return nil
}

// growProtective lets the protective partition reach the last sector. Everything
// else in the boot record stays.
func (t *Table) growProtective(d Disk, last uint64) error {
	record := make([]byte, mbrSize)
	if n, err := d.ReadAt(record, 0); n < mbrSize {
		return fmt.Errorf("read protective MBR: %w", err)
	}
	for i, e := range parseRecord(record) {
		if e.kind != typeProtective || e.first != 1 {
			continue
		}
		length := record[mbrEntries+i*mbrEntrySize+mbrSectors:]
		want := uint32(min(last, 0xffffffff))
		if binary.LittleEndian.Uint32(length) == want {
			return nil
		}
		binary.LittleEndian.PutUint32(length, want)
		if err := writeSynced(d, record, 0); err != nil {
			return fmt.Errorf("write protective MBR: %w", err)
		}
	}
	return nil
}

func writeSynced(d Disk, p []byte, offset int64) error {
	if _, err := d.WriteAt(p, offset); err != nil {
		return err
	}
	return d.Sync()
}
