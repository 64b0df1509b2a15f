package attest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Bytes16 is a field of 16 bytes, in JSON 32 hexadecimal digits.
type Bytes16 [16]byte

// Bytes32 is a field of 32 bytes, in JSON 64 hexadecimal digits.
type Bytes32 [32]byte

// Bytes48 is a field of 48 bytes, such as a SHA-384 digest, in JSON 96
// hexadecimal digits.
type Bytes48 [48]byte

// Bytes64 is a field of 64 bytes, in JSON 128 hexadecimal digits.
type Bytes64 [64]byte

// String returns hexadecimal digits.
func (b Bytes16) String() string { return hex.EncodeToString(b[:]) }

// String returns hexadecimal digits.
func (b Bytes32) String() string { return hex.EncodeToString(b[:]) }

// String returns hexadecimal digits.
func (b Bytes48) String() string { return hex.EncodeToString(b[:]) }

// String returns hexadecimal digits.
func (b Bytes64) String() string { return hex.EncodeToString(b[:]) }

// MarshalText returns what String does.
func (b Bytes16) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText returns what String does.
func (b Bytes32) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText returns what String does.
func (b Bytes48) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText returns what String does.
func (b Bytes64) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads 32 hexadecimal digits.
func (b *Bytes16) UnmarshalText(text []byte) error { return decodeHex(b[:], text) }

// UnmarshalText reads 64 hexadecimal digits.
func (b *Bytes32) UnmarshalText(text []byte) error { return decodeHex(b[:], text) }

// UnmarshalText reads 96 hexadecimal digits.
func (b *Bytes48) UnmarshalText(text []byte) error { return decodeHex(b[:], text) }

// UnmarshalText reads 128 hexadecimal digits.
func (b *Bytes64) UnmarshalText(text []byte) error { return decodeHex(b[:], text) }

// decodeHex fills out, neither more nor less.
func decodeHex(out, text []byte) error {
	if len(text) != hex.EncodedLen(len(out)) {
		return fmt.Errorf("%d characters, want %d hexadecimal digits", len(text), hex.EncodedLen(len(out)))
	}
	if _, err := hex.Decode(out, text); err != nil {
		return fmt.Errorf("not hexadecimal: %w", err)
	}
	return nil
}

// Bits64 is a bit vector that JSON shows as a hexadecimal number, in a string
// since 64 bits do not fit into every reader's numbers.
type Bits64 uint64

// String returns a hexadecimal number with 0x before it.
func (b Bits64) String() string { return "0x" + strconv.FormatUint(uint64(b), 16) }

// MarshalText returns what String does.
func (b Bits64) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads 0x and 1 to 16 hexadecimal digits.
func (b *Bits64) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil || len(digits) > 16 {
		return fmt.Errorf("%q is not 0x and 1 to 16 hexadecimal digits", text)
	}
	*b = Bits64(n)
	return nil
}

// ChipID names a chip as its CHIP_ID does: 64 bytes, or the 8 bytes that Turin
// uses of it.
type ChipID []byte

// String returns hexadecimal digits.
func (c ChipID) String() string { return hex.EncodeToString(c) }

// MarshalText returns what String does.
func (c ChipID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads 128 or 16 hexadecimal digits, which are not all zero: that
// is no chip, but what hosts report that mask the chip ID.
func (c *ChipID) UnmarshalText(text []byte) error {
	size := snp.ChipIDSize
	if short := snp.Turin.HardwareIDSize(); len(text) == hex.EncodedLen(short) {
		size = short
	}
	id := make([]byte, size)
	if err := decodeHex(id, text); err != nil {
		return fmt.Errorf("chip ID: %w", err)
	}
	for _, b := range id {
		if b != 0 {
			*c = id
			return nil
		}
	}
	return errors.New("chip ID is all zero")
}
