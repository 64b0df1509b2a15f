// Package ukitest makes unified kernel images for tests, without any program.
package ukitest

import (
	"encoding/binary"
)

// Section is the name of a section and what it holds.
type Section [2]string

// Where the parts of an image lie.
const (
	peAt       = 0x40
	optional   = 0xF0
	TableAt    = peAt + 24 + optional // of the section table
	EntrySize  = 40
	fileAlign  = 512
	firstBytes = 4096
)

// Image is an EFI program for x86-64 of these sections.
func Image(sections ...Section) string {
	head := make([]byte, firstBytes)
	copy(head, "MZ")
	binary.LittleEndian.PutUint32(head[0x3C:], peAt)
	copy(head[peAt:], "PE\x00\x00\x64\x86")
	binary.LittleEndian.PutUint16(head[peAt+6:], uint16(len(sections)))
	binary.LittleEndian.PutUint16(head[peAt+20:], optional)
	binary.LittleEndian.PutUint16(head[peAt+24:], 0x20B)
	var body []byte
	for i, s := range sections {
		entry := head[TableAt+i*EntrySize:]
		stored := (len(s[1]) + fileAlign - 1) / fileAlign * fileAlign
		copy(entry[:8], s[0])
		binary.LittleEndian.PutUint32(entry[8:], uint32(len(s[1])))
		binary.LittleEndian.PutUint32(entry[12:], uint32(0x1000*(i+1)))
		binary.LittleEndian.PutUint32(entry[16:], uint32(stored))
		binary.LittleEndian.PutUint32(entry[20:], uint32(firstBytes+len(body)))
		body = append(body, s[1]...)
		body = append(body, make([]byte, stored-len(s[1]))...)
	}
	return string(head) + string(body)
}
