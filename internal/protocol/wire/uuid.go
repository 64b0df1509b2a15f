package wire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// UUID names an image or a release (RFC 9562). Its 16 bytes are FAMILY_ID or
// IMAGE_ID of a report.
type UUID [16]byte

// NewUUID returns a random UUID, version 4.
func NewUUID() UUID {
	var u UUID
	rand.Read(u[:]) // never fails, see crypto/rand
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
	return u
}

// String returns the usual 36 characters.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// IsZero reports whether u names nothing.
func (u UUID) IsZero() bool { return u == UUID{} }

// MarshalText returns what String does.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (u *UUID) UnmarshalText(text []byte) error {
	parsed, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*u = parsed
	return nil
}

// ParseUUID reads the usual 36 characters, in either case.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%.40q is not a UUID", s)
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return UUID{}, fmt.Errorf("%q is not a UUID", s)
	}
	return u, nil
}
