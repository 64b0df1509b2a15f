package measure

import (
	"encoding/binary"
	"fmt"
)

// MaxFirmwareSize is the largest firmware in bytes that is measured: QEMU's
// FLASH_SIZE_LIMIT, the room between 4 GiB and the devices below it.
const MaxFirmwareSize = 16 << 20

// fourGiB is where firmware ends in guest physical memory.
const fourGiB = 1 << 32

// Layout of the footer table (edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm).
// It is written from its end: the footer entry closes it 32 bytes before the
// end of the file, and each entry is data, then a 16-bit size that includes
// these two fields, then a GUID.
const (
	footerDistance  = 32
	footerEntrySize = 2 + 16
)

// table of GUIDs in the footer table, with the edk2 names.
func footerGUID() guid    { return makeGUID(0x96b582de, 0x1fb2, 0x45f7, 0xbaea_a366c55a082d) } // table footer
func hashTableGUID() guid { return makeGUID(0x7255371f, 0x3a3b, 0x4b04, 0x927b_1da6efa8d454) } // SEV_HASH_TABLE_RV_GUID
func resetGUID() guid     { return makeGUID(0x00f771de, 0x1a7e, 0x4fcb, 0x890e_68c77e2fb44e) } // SEV_ES_RESET_BLOCK_GUID
func metadataGUID() guid  { return makeGUID(0xdc886566, 0x984a, 0x4798, 0xa75e_5585a7bf67cc) } // OVMF_SEV_METADATA_GUID
func svsmInfoGUID() guid  { return makeGUID(0xa789a612, 0x0597, 0x4c4b, 0xa49f_cbb1fe9d1ddd) } // SVSM_INFO_GUID

// Firmware is a parsed firmware image. It refers to the bytes it was parsed
// from, which must not change.
type Firmware struct {
	data     []byte
	entries  map[guid][]byte
	sections []Section
}

// ParseFirmware reads the footer table and the SNP metadata of an OVMF image
// or of a COCONUT-SVSM binary, which carries the same tables. The errors wrap
// the Err values of this package.
func ParseFirmware(data []byte) (*Firmware, error) {
	if err := CheckRaw(data); err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data)%PageSize != 0 || len(data) > MaxFirmwareSize {
		return nil, fmt.Errorf("%w: %d bytes, want a multiple of %d up to %d MiB",
			ErrFirmwareSize, len(data), PageSize, MaxFirmwareSize>>20)
	}
	entries, err := parseFooter(data)
	if err != nil {
		return nil, err
	}
	f := &Firmware{data: data, entries: entries}
	if f.sections, err = f.parseMetadata(); err != nil {
		return nil, err
	}
	return f, nil
}

// Size returns the size of the image in bytes.
func (f *Firmware) Size() int { return len(f.data) }

// Sections returns the SNP metadata sections in the order of the table, which
// is the order in which they are measured.
func (f *Firmware) Sections() []Section { return f.sections }

// Section returns the first section of the given type.
func (f *Firmware) section(t SectionType) (Section, bool) {
	for _, s := range f.sections {
		if s.Type == t {
			return s, true
		}
	}
	return Section{}, false
}

// parseFooter walks the footer table from its end to its start.
func parseFooter(data []byte) (map[guid][]byte, error) {
	end := len(data) - footerDistance - footerEntrySize
	size, id := footerEntry(data[end:])
	if id != footerGUID() {
		return nil, fmt.Errorf("%w: GUID %s at offset %#x, want %s: is this an X64 OVMF code image?",
			ErrNoFooter, id, end+2, footerGUID())
	}
	if size < footerEntrySize || size-footerEntrySize > end {
		return nil, fmt.Errorf("%w: table claims %d bytes, file has %d before its footer", ErrBadFooter, size, end)
	}
	entries := make(map[guid][]byte)
	for table := data[end-(size-footerEntrySize) : end]; len(table) > 0; {
		if len(table) < footerEntrySize {
			return nil, fmt.Errorf("%w: %d bytes left before its first entry", ErrBadFooter, len(table))
		}
		header := len(table) - footerEntrySize
		size, id := footerEntry(table[header:])
		if size < footerEntrySize || size > len(table) {
			return nil, fmt.Errorf("%w: entry %s claims %d bytes, %d are left", ErrBadFooter, id, size, len(table))
		}
		// QEMU and the firmware itself take the first match from the end.
		if _, seen := entries[id]; !seen {
			entries[id] = table[len(table)-size : header]
		}
		table = table[:len(table)-size]
	}
	return entries, nil
}

// footerEntry reads the two fields that close a footer table entry.
func footerEntry(b []byte) (size int, id guid) {
	return int(binary.LittleEndian.Uint16(b)), guid(b[2:footerEntrySize])
}

// entryUint32 reads the first field of a footer table entry.
func (f *Firmware) entryUint32(id guid) (value uint32, ok bool, err error) {
	entry, ok := f.entries[id]
	if !ok {
		return 0, false, nil
	}
	if len(entry) < 4 {
		return 0, true, fmt.Errorf("%w: entry %s has %d bytes of data, want 4", ErrBadFooter, id, len(entry))
	}
	return binary.LittleEndian.Uint32(entry), true, nil
}

// resetEIP returns the address at which application processors start
// (edk2, SEV_ES_RESET_BLOCK: AP reset Instruction Pointer, then its segment).
func (f *Firmware) resetEIP() (uint32, error) {
	eip, ok, err := f.entryUint32(resetGUID())
	if err == nil && !ok {
		err = fmt.Errorf("%w: this build of OVMF has no SEV-ES support", ErrNoResetVector)
	}
	return eip, err
}

// svsmEntry returns the offset in an SVSM image at which its vCPUs start.
func (f *Firmware) svsmEntry() (uint32, error) {
	offset, ok, err := f.entryUint32(svsmInfoGUID())
	if err == nil && !ok {
		err = fmt.Errorf("%w: no SVSM information: is this a COCONUT-SVSM binary?", ErrBadFooter)
	}
	if err == nil && int64(offset) >= int64(len(f.data)) {
		err = fmt.Errorf("%w: SVSM starts at offset %#x of %#x bytes", ErrBadFooter, offset, len(f.data))
	}
	return offset, err
}
