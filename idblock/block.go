package idblock

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Size is the size of an ID block in bytes.
const Size = 0x60

// Version is the version of the ID block format.
const Version = 1

// Offsets in the ID block (56860 rev. 1.58, section 8.18, table "ID Block").
const (
	offsetLD       = 0x00
	offsetFamilyID = 0x30
	offsetImageID  = 0x40
	offsetVersion  = 0x50
	offsetGuestSVN = 0x54
	offsetPolicy   = 0x58
)

// ErrMalformed is an ID block or ID authentication information that is not in
// the format of the ABI.
var ErrMalformed = errors.New("malformed")

// IDBlock is the owner's statement of what may be launched.
type IDBlock struct {
	LaunchDigest [48]byte    // LD
	FamilyID     [16]byte    // FAMILY_ID
	ImageID      [16]byte    // IMAGE_ID
	Version      uint32      // VERSION, 1
	GuestSVN     uint32      // GUEST_SVN
	Policy       GuestPolicy // POLICY
}

// Bytes returns the ID block as the AMD-SP reads it.
func (b IDBlock) Bytes() []byte {
	out := make([]byte, Size)
	copy(out[offsetLD:], b.LaunchDigest[:])
	copy(out[offsetFamilyID:], b.FamilyID[:])
	copy(out[offsetImageID:], b.ImageID[:])
	binary.LittleEndian.PutUint32(out[offsetVersion:], b.Version)
	binary.LittleEndian.PutUint32(out[offsetGuestSVN:], b.GuestSVN)
	binary.LittleEndian.PutUint64(out[offsetPolicy:], uint64(b.Policy))
	return out
}

// Validate checks what the AMD-SP checks of an ID block alone: its version and
// the reserved bits of its policy. The error wraps ErrMalformed or ErrPolicy.
func (b IDBlock) Validate() error {
	if b.Version != Version {
		return fmt.Errorf("ID block: %w: version %d, want %d", ErrMalformed, b.Version, Version)
	}
	return b.Policy.Validate()
}

// Parse reads an ID block and validates it. The error wraps ErrMalformed or
// ErrPolicy.
func Parse(data []byte) (IDBlock, error) {
	if len(data) != Size {
		return IDBlock{}, fmt.Errorf("ID block: %w: %d bytes, want %d", ErrMalformed, len(data), Size)
	}
	b := IDBlock{
		LaunchDigest: [48]byte(data[offsetLD:]),
		FamilyID:     [16]byte(data[offsetFamilyID:]),
		ImageID:      [16]byte(data[offsetImageID:]),
		Version:      binary.LittleEndian.Uint32(data[offsetVersion:]),
		GuestSVN:     binary.LittleEndian.Uint32(data[offsetGuestSVN:]),
		Policy:       GuestPolicy(binary.LittleEndian.Uint64(data[offsetPolicy:])),
	}
	return b, b.Validate()
}
