// Package vmkrecord reads and writes the record that carries a sealed volume
// master key (VMK) on an encrypted disk, between the LUKS2 header and the
// payload (docs/disk-format.md).
//
// Nothing protects the record: the host may write what it likes there. Decode
// checks form alone; that the key inside is the right one shows when whatever
// opens it meets the measured commitment.
package vmkrecord

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The record's size and its offset from the partition's start, in bytes.
const (
	Size   = 4096
	Offset = 12 << 20
)

// MaxSealed is the most that a record holds, in bytes.
const MaxSealed = Size - sealedOffset

// Fields of a record, little-endian (docs/disk-format.md, "The sealed VMK").
const (
	magic   = "SNPGVMK\x00" // at 0
	version = 1

	versionOffset = 8  // 4 bytes
	lengthOffset  = 12 // 4 bytes, of what is sealed
	imageOffset   = 16 // 16 bytes, the image's UUID
	sealedOffset  = 32 // as many bytes as the length says, then zeros
)

// Errors of Decode. A disk of another image is told apart: it is the mistake
// that people make.
var (
	ErrRecord = errors.New("not a record of a sealed VMK")
	ErrImage  = errors.New("sealed VMK of another image")
)

// Encode returns the record, Size bytes, of a sealed VMK of 1 to MaxSealed bytes
// for the image with the given UUID.
func Encode(image [16]byte, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || len(sealed) > MaxSealed {
		return nil, fmt.Errorf("encode record: sealed VMK of %d bytes, want 1 to %d", len(sealed), MaxSealed)
	}
	record := make([]byte, Size)
	copy(record, magic)
	binary.LittleEndian.PutUint32(record[versionOffset:], version)
	binary.LittleEndian.PutUint32(record[lengthOffset:], uint32(len(sealed)))
	copy(record[imageOffset:], image[:])
	copy(record[sealedOffset:], sealed)
	return record, nil
}

// Decode returns a copy of the sealed VMK in a record of Size bytes. The error
// is ErrImage when it belongs to another image than the given one, otherwise
// ErrRecord. What it takes, Encode gives back bit by bit.
func Decode(record []byte, image [16]byte) (sealed []byte, err error) {
	switch {
	case len(record) != Size:
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrRecord, len(record), Size)
	case string(record[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrRecord, magic)
	}
	if v := binary.LittleEndian.Uint32(record[versionOffset:]); v != version {
		return nil, fmt.Errorf("%w: version %d, not %d", ErrRecord, v, version)
	}
	length := binary.LittleEndian.Uint32(record[lengthOffset:])
	if length == 0 || length > MaxSealed {
		return nil, fmt.Errorf("%w: %d bytes are sealed, want 1 to %d", ErrRecord, length, MaxSealed)
	}
	body := record[sealedOffset:]
	if len(bytes.Trim(body[length:], "\x00")) != 0 {
		return nil, fmt.Errorf("%w: the rest is not zero", ErrRecord)
	}
	if found := record[imageOffset:sealedOffset]; !bytes.Equal(found, image[:]) {
		return nil, fmt.Errorf("%w: %x, not %x", ErrImage, found, image)
	}
	return bytes.Clone(body[:length]), nil
}
