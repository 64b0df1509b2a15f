package gpt

import (
	"fmt"
	"hash/crc32"
	"io"
)

// Read takes the GPT of a disk of size bytes with logical sectors of
// sectorSize bytes, 512 or 4096.
//
// Where the primary table is damaged the backup in the disk's last sector is
// taken, so that a disk whose table was being rewritten when the power failed
// is still found; where the backup is damaged, or is not the same, the primary
// is taken. Either is told in Table.Damage. The error wraps ErrTable when no
// copy is whole or the whole one makes no sense, otherwise it is the reader's.
func Read(r io.ReaderAt, size int64, sectorSize int) (*Table, error) {
	if sectorSize != 512 && sectorSize != 4096 {
		return nil, fmt.Errorf("%w: logical sectors of %d bytes, want 512 or 4096", ErrTable, sectorSize)
	}
	d := &disk{r: r, sectors: uint64(max(size, 0)) / uint64(sectorSize), sectorSize: sectorSize}
	if d.sectors < 4 {
		return nil, fmt.Errorf("%w: a disk of %d bytes has no room for a GPT", ErrTable, size)
	}
	h, t, err := d.table(1)
	if err != nil {
		_, t, backupErr := d.table(d.sectors - 1)
		if backupErr != nil {
			return nil, fmt.Errorf("read primary GPT: %w; and its backup: %w", err, backupErr)
		}
		t.Damage = fmt.Errorf("the primary GPT is damaged, only the backup is whole: %w; %s", err, repair)
		return t, nil
	}
	if _, backup, err := d.table(h.alternate); err != nil {
		t.Damage = fmt.Errorf("the backup GPT is damaged: %w; %s", err, repair)
	} else if !t.same(backup) {
		t.Damage = fmt.Errorf("%w: primary and backup GPT are not the same; %s", ErrTable, repair)
	}
	return t, nil
}

// repair says what to do about a table of which one copy is whole.
const repair = `on a raw disk, "sgdisk -e DISK" writes both copies anew and "sgdisk -v DISK" checks them`

// disk is what a table is read from.
type disk struct {
	r          io.ReaderAt
	sectors    uint64
	sectorSize int
}

// read returns length bytes from a logical sector on.
func (d *disk) read(lba uint64, length int) ([]byte, error) {
	b := make([]byte, length)
	if n, err := d.r.ReadAt(b, int64(lba)*int64(d.sectorSize)); n < length {
		return nil, fmt.Errorf("read sector %d: %w", lba, err)
	}
	return b, nil
}

// table reads and checks the copy whose header is in the given sector.
func (d *disk) table(lba uint64) (*header, *Table, error) {
	if lba >= d.sectors {
		return nil, nil, fmt.Errorf("%w: its header should be in sector %d, the disk has %d", ErrTable, lba, d.sectors)
	}
	sector, err := d.read(lba, d.sectorSize)
	if err != nil {
		return nil, nil, err
	}
	h, err := parseHeader(sector, lba)
	if err != nil {
		return nil, nil, err
	}
	if err := h.check(d.sectors, d.sectorSize); err != nil {
		return nil, nil, err
	}
	array, err := d.read(h.arrayLBA, int(h.entries*h.entrySize))
	if err != nil {
		return nil, nil, err
	}
	if crc32.ChecksumIEEE(array) != h.arrayCRC {
		return nil, nil, fmt.Errorf("%w: checksum of the GPT entries in sector %d is wrong", ErrTable, h.arrayLBA)
	}
	t := &Table{DiskGUID: h.diskGUID, SectorSize: d.sectorSize, Entries: int(h.entries)}
	for i := range t.Entries {
		p := parseEntry(array[i*int(h.entrySize):], i+1)
		if !p.Type.IsZero() {
			t.Partitions = append(t.Partitions, p)
		}
	}
	if err := t.check(h.firstUsable, h.lastUsable); err != nil {
		return nil, nil, err
	}
	return h, t, nil
}
