package instancedisk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Fields of a generation (docs/disk-format.md, "The generation").
const (
	generationMagic  = "SNPGGEN\x00"
	numberOffset     = bodyOffset       // 8 bytes
	generationMAC    = numberOffset + 8 // 32 bytes
	generationUnused = generationMAC + 32
)

// Generation counts the boots of an instance, from 1. The code over it is
// wire.GenerationMAC's.
type Generation struct {
	Number uint64
	MAC    [32]byte
}

// ErrNoGeneration is a disk on which no generation is authentic.
var ErrNoGeneration = errors.New("the disk has no authentic generation")

// EncodeGeneration returns a record of GenerationSize bytes, a single sector, so that
// a power cut leaves the one before or this one.
func EncodeGeneration(id ID, g Generation) []byte {
	b := blank(GenerationSize, generationMagic, 0, id)
	binary.LittleEndian.PutUint64(b[numberOffset:], g.Number)
	copy(b[generationMAC:], g.MAC[:])
	return b
}

// DecodeGeneration is its inverse. Whether the code is right is not checked; the
// number is not zero. The error is ErrID or ErrForm.
func DecodeGeneration(b []byte, id ID) (Generation, error) {
	word, err := first(b, GenerationSize, generationMagic, id)
	if err != nil {
		return Generation{}, err
	}
	g := Generation{binary.LittleEndian.Uint64(b[numberOffset:]), [32]byte(b[generationMAC:])}
	if word != 0 || g.Number == 0 || !isZero(b[generationUnused:]) {
		return Generation{}, fmt.Errorf("%w: generation %d, or what is not used is not zero", ErrForm, g.Number)
	}
	return g, nil
}

// ReadGenerations returns what the two places of a partition hold; the number is zero
// where one holds none. The error is one of reading.
func ReadGenerations(r io.ReaderAt, id ID) (found [2]Generation, err error) {
	for place := range found {
		b := make([]byte, GenerationSize)
		if _, err := r.ReadAt(b, GenerationAt(place)); err != nil {
			return found, fmt.Errorf("read generation: %w", err)
		}
		if g, err := DecodeGeneration(b, id); err == nil {
			found[place] = g
		}
	}
	return found, nil
}

// Newest returns the highest number that is authentic, and the place that the next one
// is written to, which holds the older one or none. ErrNoGeneration if none is.
func Newest(found [2]Generation, authentic func(Generation) bool) (number uint64, next int, err error) {
	for place, g := range found {
		if g.Number > number && authentic(g) {
			number, next = g.Number, 1-place
		}
	}
	if number == 0 {
		return 0, 0, ErrNoGeneration
	}
	return number, next, nil
}
