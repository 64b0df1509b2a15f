package instancedisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	RecordSize     = 4096
	GenerationSize = 512
	ReceiptSize    = 512
	RecoverySize   = 128 << 10
	JournalSize    = 512     // of one record of the journal
	BufferSize     = 1 << 20 // of a buffer, and the most that a record of the journal names
)

// Offsets from the partition's start in bytes. Of what there are two, the second is
// this far behind the first.
const (
	recordOffset     = 12<<20 + 4<<10
	recordStride     = 4 << 10
	generationOffset = 12<<20 + 12<<10
	generationStride = 4 << 10
	bufferOffset     = 13 << 20
	bufferStride     = BufferSize
	journalOffset    = 15 << 20
	journalStride    = 4 << 10

	ReceiptOffset  = 12<<20 + 32<<10
	RecoveryOffset = 12<<20 + 64<<10

	// End is where the payload may begin.
	End = 16 << 20
)

// RecordAt returns the offset of one of the two copies of the instance record.
func RecordAt(number int) int64 { return recordOffset + int64(number&1)*recordStride }

// GenerationAt returns the offset of one of the two places of the generation.
func GenerationAt(number int) int64 { return generationOffset + int64(number&1)*generationStride }

// JournalAt returns the offset of the journal's record with a sequence number: even
// ones and odd ones have a place of their own.
func JournalAt(sequence uint64) int64 { return journalOffset + int64(sequence&1)*journalStride }

// BufferAt returns the offset of the buffer that belongs to it.
func BufferAt(sequence uint64) int64 { return bufferOffset + int64(sequence&1)*bufferStride }

// ID is whose a record is.
type ID struct{ Image, Instance [16]byte }

// Errors of the decoders. A disk of another image or instance is told apart: it is
// the mistake that people make.
var (
	ErrForm = errors.New("not such a record")
	ErrID   = errors.New("record of another image or instance")
)

// Fields that all records begin with, little-endian.
const (
	magicSize      = 8
	versionOffset  = 8  // 4 bytes
	wordOffset     = 12 // 4 bytes, a length or a kind
	imageOffset    = 16 // 16 bytes
	instanceOffset = 32 // 16 bytes
	bodyOffset     = 48

	version = 1
)

// blank returns a record of so many bytes with nothing but its first fields.
func blank(size int, magic string, word uint32, id ID) []byte {
	b := make([]byte, size)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[versionOffset:], version)
	binary.LittleEndian.PutUint32(b[wordOffset:], word)
	copy(b[imageOffset:], id.Image[:])
	copy(b[instanceOffset:], id.Instance[:])
	return b
}

// first checks the fields that all records begin with and returns the word.
func first(b []byte, size int, magic string, id ID) (word uint32, err error) {
	if len(b) != size {
		return 0, fmt.Errorf("%w: %d bytes, not %d", ErrForm, len(b), size)
	}
	if string(b[:magicSize]) != magic {
		return 0, fmt.Errorf("%w: it does not begin with %q", ErrForm, magic)
	}
	if v := binary.LittleEndian.Uint32(b[versionOffset:]); v != version {
		return 0, fmt.Errorf("%w: version %d, not %d", ErrForm, v, version)
	}
	if found := (ID{[16]byte(b[imageOffset:]), [16]byte(b[instanceOffset:])}); found != id {
		return 0, fmt.Errorf("%w: image %x, instance %x", ErrID, found.Image, found.Instance)
	}
	return binary.LittleEndian.Uint32(b[wordOffset:]), nil
}

// isZero reports whether all bytes are zero.
func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
