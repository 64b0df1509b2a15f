package uki

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Where a PE file has its parts: offsets in the DOS header, from the signature, in
// the optional header and in an entry of the section table.
const (
	dosHeaderSize = 64
	dosMagic      = "MZ"
	dosPEOffset   = 0x3C
	peSignature   = "PE\x00\x00"
	peMachine     = 4
	peSections    = 6
	peOptional    = 20 // size of the optional header
	peHeaderSize  = 24
	optionalMagic = 0

	sectionSize       = 40
	sectionName       = 8 // bytes
	sectionMemorySize = 8
	sectionFileSize   = 16
	sectionFileOffset = 20

	machineAMD64 = 0x8664
	magicPE32P   = 0x20B // of the optional header: 64 bits
	magicSize    = 2
)

// section is a piece of a file.
type section struct {
	name   string
	offset int64
	size   int64 // that the program has in memory
	stored int64 // in the file, with padding
}

// parsePE lists the sections of an EFI program, in the order of its table.
func parsePE(r *io.SectionReader) ([]section, error) {
	dos := make([]byte, dosHeaderSize)
	if err := readFull(r, dos, 0); err != nil {
		return nil, err
	}
	if string(dos[:len(dosMagic)]) != dosMagic {
		return nil, ErrNot
	}
	at := int64(binary.LittleEndian.Uint32(dos[dosPEOffset:]))
	header := make([]byte, peHeaderSize+magicSize)
	if err := readFull(r, header, at); err != nil {
		return nil, err
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(header[at:])) }
	if string(header[:len(peSignature)]) != peSignature || u16(peMachine) != machineAMD64 || u16(peHeaderSize+optionalMagic) != magicPE32P {
		return nil, ErrNot
	}
	count := u16(peSections)
	if count > maxSections {
		return nil, fmt.Errorf("%w: %d sections", ErrMalformed, count)
	}
	at += peHeaderSize + int64(u16(peOptional))
	table := make([]byte, count*sectionSize)
	if err := readFull(r, table, at); err != nil {
		return nil, err
	}
	var sections []section
	for ; len(table) > 0; table = table[sectionSize:] {
		u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(table[at:])) }
		s := section{
			name:   strings.TrimRight(string(table[:sectionName]), "\x00"),
			offset: u32(sectionFileOffset), size: u32(sectionMemorySize), stored: u32(sectionFileSize),
		}
		sections = append(sections, s)
	}
	return sections, checkSections(sections, at+int64(count*sectionSize), r.Size())
}

// checkSections refuses sections that leave the file, reach into its headers or into
// each other.
func checkSections(sections []section, headers, size int64) error {
	stored := slices.DeleteFunc(slices.Clone(sections), func(s section) bool { return s.stored == 0 })
	slices.SortStableFunc(stored, func(a, b section) int { return cmp.Compare(a.offset, b.offset) })
	end := headers
	for _, s := range stored {
		switch {
		case s.offset < end:
			return fmt.Errorf("%w: section %q overlaps what comes before it", ErrMalformed, s.name)
		case s.offset+s.stored > size:
			return fmt.Errorf("%w: section %q leaves the file", ErrMalformed, s.name)
		}
		end = s.offset + s.stored
	}
	return nil
}

// readFull reads what a header needs. A file that ends before is none.
func readFull(r *io.SectionReader, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return ErrNot
	}
	return err
}
