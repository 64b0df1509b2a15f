package ext4

import (
	"encoding/binary"
	"errors"
)

// Access control lists are shorter on the disk than in getxattr(2): another
// version number, and an ID only where the entry is about one user or group.
const (
	aclVersionDisk  = 1
	aclVersionXattr = 2
	aclUser         = 0x02
	aclGroup        = 0x08
	aclNoID         = ^uint32(0)
)

// aclFromDisk translates to the form of getxattr(2).
func aclFromDisk(raw []byte) ([]byte, error) {
	le := binary.LittleEndian
	if len(raw) < 4 || le.Uint32(raw) != aclVersionDisk {
		return nil, errors.New("unknown version")
	}
	out := le.AppendUint32(nil, aclVersionXattr)
	for raw = raw[4:]; len(raw) > 0; {
		if len(raw) < 4 {
			return nil, errors.New("cut off")
		}
		tag, permissions, id := le.Uint16(raw), le.Uint16(raw[2:]), aclNoID
		length := 4
		if tag == aclUser || tag == aclGroup {
			if length = 8; len(raw) < length {
				return nil, errors.New("cut off")
			}
			id = le.Uint32(raw[4:])
		}
		raw = raw[length:]
		out = le.AppendUint32(le.AppendUint16(le.AppendUint16(out, tag), permissions), id)
	}
	return out, nil
}
