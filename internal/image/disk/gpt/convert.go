package gpt

import (
	"fmt"
	"io"
)

// check refuses partitions that overlap each other or the boot record, or do
// not fit the disk or the extended partition, which is the rest's neighbour.
func (m *MBR) check(sectors uint64, extended *mbrEntry) error {
	all := &Table{SectorSize: mbrSize}
	if sectors < 2 {
		return fmt.Errorf("%w: a disk of %d sectors", ErrTable, sectors)
	}
	logical := &Table{SectorSize: mbrSize}
	for _, p := range m.Partitions {
		// The number stands for type and GUID, which a boot record has not.
		entry := Partition{Number: p.Number, Type: GUID{1}, GUID: GUID{byte(p.Number)}, First: p.First, Last: p.Last}
		if p.Number < 5 {
			all.Partitions = append(all.Partitions, entry)
		} else {
			logical.Partitions = append(logical.Partitions, entry)
		}
	}
	if extended != nil {
		first, last := extended.first, extended.first+extended.sectors-1
		if err := logical.check(first+1, last); err != nil {
			return err
		}
		all.Partitions = append(all.Partitions, Partition{Number: DefaultEntries, Type: GUID{1}, First: first, Last: last})
	}
	return all.check(1, sectors-1)
}

// ToGPT returns a GPT with the same partitions, numbers and sectors, under new
// GUIDs from random: whatever names a PARTUUID of the old table has to change.
// A type that has no counterpart is refused; the error wraps ErrTable.
func (m *MBR) ToGPT(random io.Reader) (*Table, error) {
	disk, err := NewGUID(random)
	if err != nil {
		return nil, err
	}
	t := &Table{DiskGUID: disk, SectorSize: mbrSize, Entries: DefaultEntries}
	for _, p := range m.Partitions {
		guid, err := NewGUID(random)
		if err != nil {
			return nil, err
		}
		name := typeOfMBR(p.Type)
		if name == "" {
			return nil, fmt.Errorf("%w: partition %d has type 0x%02x, which has no counterpart in a GPT", ErrTable, p.Number, p.Type)
		}
		kind, err := ParseGUID(name)
		if err != nil {
			return nil, err
		}
		t.Partitions = append(t.Partitions, Partition{Number: p.Number, Type: kind, GUID: guid, First: p.First, Last: p.Last})
	}
	return t, nil
}

// typeOfMBR returns the type in a GPT of a type in a master boot record; empty
// if there is none.
func typeOfMBR(kind byte) string {
	switch kind {
	case 0x83:
		return TypeLinux
	case 0x82:
		return TypeSwap
	case 0xef:
		return TypeESP
	case 0x8e:
		return TypeLVM
	case 0xfd:
		return TypeRAID
	case 0x01, 0x04, 0x06, 0x07, 0x0b, 0x0c, 0x0e:
		return TypeBasicData
	case 0xea:
		return TypeXBOOTLDR
	}
	return ""
}
