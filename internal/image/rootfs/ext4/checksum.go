package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

// crc32c goes on from a checksum as ext4 does, which never inverts the result.
func crc32c(seed uint32, data []byte) uint32 {
	return ^crc32.Update(^seed, crc32.MakeTable(crc32.Castagnoli), data)
}

// crc32c32 goes on with a number.
func crc32c32(seed, n uint32) uint32 {
	return crc32c(seed, binary.LittleEndian.AppendUint32(nil, n))
}

// crc16 is CRC-16/ARC, which old file systems (uninit_bg) use for group
// descriptors.
func crc16(seed uint16, data []byte) uint16 {
	for _, b := range data {
		seed ^= uint16(b)
		for range 8 {
			low := seed & 1
			seed >>= 1
			if low != 0 {
				seed ^= 0xA001
			}
		}
	}
	return seed
}

// zeroed is a copy of b with some bytes zero, as checksums of structures that
// hold their own are taken.
func zeroed(b []byte, offset, length int) []byte {
	c := append([]byte(nil), b...)
	clear(c[offset : offset+length])
	return c
}
