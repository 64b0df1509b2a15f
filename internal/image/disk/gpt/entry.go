package gpt

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// GPT entry, UEFI 2.10 table 5.6: offsets in bytes, little endian.
const (
	entrySize    = 128
	maxEntrySize = 4096
	nameSize     = 72

	offType       = 0
	offGUID       = 16
	offFirst      = 32
	offLast       = 40
	offAttributes = 48
	offName       = 56
)

// parseEntry reads one entry; a zero type means that it is unused.
func parseEntry(b []byte, number int) Partition {
	p := Partition{
		Number:     number,
		Type:       GUID(b[offType : offType+16]),
		GUID:       GUID(b[offGUID : offGUID+16]),
		First:      binary.LittleEndian.Uint64(b[offFirst:]),
		Last:       binary.LittleEndian.Uint64(b[offLast:]),
		Attributes: binary.LittleEndian.Uint64(b[offAttributes:]),
		raw:        [nameSize]byte(b[offName : offName+nameSize]),
	}
	p.Name = decodeName(p.raw)
	return p
}

func decodeName(raw [nameSize]byte) string {
	var units []uint16
	for i := 0; i < nameSize; i += 2 {
		u := binary.LittleEndian.Uint16(raw[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// encode returns the entry. A name that nobody changed keeps its bytes, even
// those that are no UTF-16 or follow the terminator.
func (p *Partition) encode() ([]byte, error) {
	b := make([]byte, entrySize)
	copy(b[offType:], p.Type[:])
	copy(b[offGUID:], p.GUID[:])
	binary.LittleEndian.PutUint64(b[offFirst:], p.First)
	binary.LittleEndian.PutUint64(b[offLast:], p.Last)
	binary.LittleEndian.PutUint64(b[offAttributes:], p.Attributes)
	if decodeName(p.raw) == p.Name {
		copy(b[offName:], p.raw[:])
		return b, nil
	}
	units := utf16.Encode([]rune(p.Name))
	if len(units) > nameSize/2 {
		return nil, fmt.Errorf("%w: name of partition %d has %d UTF-16 units, at most %d fit", ErrTable, p.Number, len(units), nameSize/2)
	}
	for i, u := range units {
		binary.LittleEndian.PutUint16(b[offName+2*i:], u)
	}
	return b, nil
}
