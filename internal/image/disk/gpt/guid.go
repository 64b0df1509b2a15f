package gpt

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// GUID is 16 bytes as they are on the disk: its first three fields are little
// endian (UEFI 2.10, appendix A).
type GUID [16]byte

// Partition types, from UEFI 2.10 table 5.7 and the UAPI group's Discoverable
// Partitions Specification. ParseGUID takes them, GUID.String gives them.
const (
	TypeUnused    = "00000000-0000-0000-0000-000000000000"
	TypeESP       = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	TypeBIOSBoot  = "21686148-6449-6e6f-744e-656564454649"
	TypeBasicData = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
	TypeLinux     = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	TypeRootAMD64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
	TypeXBOOTLDR  = "bc13c2ff-59e6-4262-a352-b275fd6f7172"
	TypeSwap      = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
	TypeLVM       = "e6d6d379-f507-44c2-a23c-238f2a3df928"
	TypeRAID      = "a19d880f-05fc-4d3b-a006-743f0f84911e"
	TypeLUKS      = "ca7d7ccb-63ed-4c53-861c-1742536059cc"
)

// IsZero says whether the GUID is all zeros: as a type, an unused entry.
func (g GUID) IsZero() bool { return g == GUID{} }

// String returns the usual 36 characters in lower case.
func (g GUID) String() string {
	b := g.swap()
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ParseGUID reads the 36 characters of String, in either case.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	plain := strings.ReplaceAll(s, "-", "")
	if len(plain) != 32 {
		return GUID{}, fmt.Errorf("parse GUID %q: want 32 hexadecimal digits", s)
	}
	if _, err := hex.Decode(g[:], []byte(plain)); err != nil {
		return GUID{}, fmt.Errorf("parse GUID %q: %w", s, err)
	}
	g = g.swap()
	if g.String() != strings.ToLower(s) {
		return GUID{}, fmt.Errorf("parse GUID %q: hyphens are not where they belong", s)
	}
	return g, nil
}

// NewGUID makes a random GUID (RFC 9562, version 4) from 16 bytes of random.
func NewGUID(random io.Reader) (GUID, error) {
	var g GUID
	if _, err := io.ReadFull(random, g[:]); err != nil {
		return GUID{}, fmt.Errorf("make GUID: %w", err)
	}
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g.swap(), nil
}

// swap turns the order of the text into the order of the disk and back.
func (g GUID) swap() GUID {
	out := g
	binary.BigEndian.PutUint32(out[0:], binary.LittleEndian.Uint32(g[0:]))
	binary.BigEndian.PutUint16(out[4:], binary.LittleEndian.Uint16(g[4:]))
	binary.BigEndian.PutUint16(out[6:], binary.LittleEndian.Uint16(g[6:]))
	return out
}
