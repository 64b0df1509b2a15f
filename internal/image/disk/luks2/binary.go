package luks2

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The binary part of a copy, big-endian (LUKS2 On-Disk Format Specification,
// section 2.1): magic, version 2, size of the copy, sequence number, label,
// name of the checksum, salt, UUID, subsystem, offset of the copy itself,
// checksum.
const (
	magicPrimary   = "LUKS\xBA\xBE"
	magicSecondary = "SKUL\xBA\xBE"
	version        = 2
	checksumName   = "sha256"

	offsetVersion  = 0x006 // 2 bytes
	offsetSize     = 0x008 // 8 bytes
	offsetSequence = 0x010 // 8 bytes
	offsetLabel    = 0x018 // 48 bytes, ends in NUL
	offsetAlg      = 0x048 // 32 bytes, ends in NUL
	offsetSalt     = 0x068 // 64 bytes
	offsetUUID     = 0x0A8 // 40 bytes, ends in NUL
	offsetOffset   = 0x100 // 8 bytes
	offsetChecksum = 0x1C0 // 64 bytes
	offsetJSON     = 0x1000

	labelSize    = offsetAlg - offsetLabel
	algSize      = offsetSalt - offsetAlg
	saltSize     = offsetUUID - offsetSalt
	uuidSize     = 40
	checksumSize = 64
)

// magicAt returns the magic of the copy at an offset.
func magicAt(offset int) string {
	if offset == 0 {
		return magicPrimary
	}
	return magicSecondary
}

// encodeCopy returns the copy of the header that is stored at an offset.
func encodeCopy(offset int, uuid [16]byte, salt, metadata []byte) []byte {
	b := make([]byte, CopySize)
	copy(b, magicAt(offset))
	binary.BigEndian.PutUint16(b[offsetVersion:], version)
	binary.BigEndian.PutUint64(b[offsetSize:], CopySize)
	binary.BigEndian.PutUint64(b[offsetSequence:], 1)
	copy(b[offsetLabel:], label)
	copy(b[offsetAlg:], checksumName)
	copy(b[offsetSalt:][:saltSize], salt)
	copy(b[offsetUUID:], formatUUID(uuid))
	binary.BigEndian.PutUint64(b[offsetOffset:], uint64(offset))
	copy(b[offsetJSON:], metadata)
	sum := checksum(b)
	copy(b[offsetChecksum:], sum[:])
	return b
}

// decodeCopy reads the copy at an offset, b.
func decodeCopy(b []byte, offset int) (*Header, error) {
	if string(b[:offsetVersion]) != magicAt(offset) {
		return nil, ErrNotLUKS
	}
	if v := binary.BigEndian.Uint16(b[offsetVersion:]); v != version {
		return nil, fmt.Errorf("%w: version %d", ErrHeader, v)
	}
	if size := binary.BigEndian.Uint64(b[offsetSize:]); size != CopySize {
		return nil, fmt.Errorf("%w: a copy has %d bytes, not %d", ErrHeader, size, CopySize)
	}
	if alg := text(b[offsetAlg:][:algSize]); alg != checksumName {
		return nil, fmt.Errorf("%w: checksum %q", ErrHeader, alg)
	}
	sum, field := checksum(b), b[offsetChecksum:][:checksumSize]
	if subtle.ConstantTimeCompare(field[:len(sum)], sum[:]) != 1 {
		return nil, fmt.Errorf("%w: wrong checksum", ErrHeader)
	}
	if at := binary.BigEndian.Uint64(b[offsetOffset:]); at != uint64(offset) {
		return nil, fmt.Errorf("%w: the copy at %d is for %d", ErrHeader, offset, at)
	}
	h, err := decodeMetadata(b[offsetJSON:])
	if err != nil {
		return nil, err
	}
	h.Sequence = binary.BigEndian.Uint64(b[offsetSequence:])
	h.Label = text(b[offsetLabel:][:labelSize])
	if !printable(h.Label) {
		return nil, fmt.Errorf("%w: label is not printable", ErrHeader)
	}
	if h.UUID, err = parseUUID(text(b[offsetUUID:][:uuidSize])); err != nil {
		return nil, err
	}
	return h, nil
}

// checksum returns the SHA-256 of a copy whose checksum field is zero.
func checksum(b []byte) [sha256.Size]byte {
	b = bytes.Clone(b)
	clear(b[offsetChecksum:][:checksumSize])
	return sha256.Sum256(b)
}

// text returns what is before the first NUL of a field. A field without one is
// returned whole.
func text(field []byte) string {
	before, _, _ := bytes.Cut(field, []byte{0})
	return string(before)
}

// printable reports whether a terminal shows s without obeying it.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func parseUUID(s string) (u [16]byte, err error) {
	if _, err := hex.Decode(u[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil || formatUUID(u) != strings.ToLower(s) {
		return u, fmt.Errorf("%w: %.40q is not a UUID", ErrHeader, s)
	}
	return u, nil
}
