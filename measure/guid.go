package measure

import (
	"encoding/binary"
	"fmt"
)

// guid is a GUID in the mixed-endian byte order of UEFI 2.10, appendix A.
type guid [16]byte

// String writes g as the UEFI documents do.
func (g guid) String() string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(g[0:]),
		binary.LittleEndian.Uint16(g[4:]), binary.LittleEndian.Uint16(g[6:]), g[8:10], g[10:])
}

// makeGUID takes the fields as they are written: the first three numbers and
// the last eight bytes as one number.
func makeGUID(a uint32, b, c uint16, d uint64) guid {
	var g guid
	binary.LittleEndian.PutUint32(g[0:], a)
	binary.LittleEndian.PutUint16(g[4:], b)
	binary.LittleEndian.PutUint16(g[6:], c)
	binary.BigEndian.PutUint64(g[8:], d)
	return g
}
