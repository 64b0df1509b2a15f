package kmod_test

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// module makes an ELF object with nothing but a .modinfo section.
func module(fields ...string) []byte { return object(fields, "", "") }

// object makes an ELF object as depmod reads them: it says what it is, exports a
// symbol and needs another, unless they are "".
func object(fields []string, exports, needs string) []byte {
	info := strings.Join(fields, "\x00") + "\x00"
	strtab := "\x00" + needs + "\x00"
	symbol := make([]byte, 24)
	symbol[0], symbol[4] = 1, 0x10 // name, global
	symtab := string(make([]byte, 24)) + string(symbol)
	const names = "\x00.modinfo\x00.shstrtab\x00__ksymtab_strings\x00.strtab\x00.symtab\x00"
	sections := []struct {
		name, content string
		kind, link    uint32
		entry         uint64
	}{
		{},
		{".modinfo", info, 1, 0, 0},
		{".shstrtab", names, 3, 0, 0},
		{"__ksymtab_strings", exports + "\x00", 1, 0, 0},
		{".strtab", strtab, 3, 0, 0},
		{".symtab", symtab, 2, 4, 24},
	}
	if needs == "" {
		sections = sections[:4]
	}
	const header = 64
	var body, table, b bytes.Buffer
	for _, s := range sections {
		name := uint32(0)
		if s.name != "" {
			name = uint32(strings.Index(names, s.name+"\x00"))
		}
		le(&table, name, s.kind, uint64(0), uint64(0), uint64(header+body.Len()), uint64(len(s.content)), s.link, uint32(1), uint64(1), s.entry)
		body.WriteString(s.content)
	}
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le(&b, uint16(1), uint16(62), uint32(1), uint64(0), uint64(0), uint64(header+body.Len()), uint32(0))
	le(&b, uint16(header), uint16(0), uint16(0), uint16(64), uint16(len(sections)), uint16(2))
	b.Write(body.Bytes())
	b.Write(table.Bytes())
	return b.Bytes()
}

func le(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		binary.Write(b, binary.LittleEndian, v) //nolint:errcheck // a buffer never fails
	}
}
