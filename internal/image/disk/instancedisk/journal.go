package instancedisk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a record of the journal tells.
type Kind uint32

// The kinds of records.
const (
	Start Kind = iota + 1 // nothing is re-encrypted yet; before the claim
	Chunk                 // what lies in the buffer belongs at Place; all in front of its end is re-encrypted
	Done                  // all is re-encrypted
)

// Fields of a record of the journal (docs/disk-format.md, "The journal").
const (
	journalMagic   = "SNPGJRN\x00"
	journalSealed  = bodyOffset         // 32 bytes
	sequenceOffset = journalSealed + 32 // 8 bytes
	placeOffset    = sequenceOffset + 8 // 8 bytes
	lengthOffset   = placeOffset + 8    // 8 bytes
	bufferHash     = lengthOffset + 8   // 32 bytes
	journalUnused  = bufferHash + 32
	journalMAC     = JournalSize - sha256.Size // 32 bytes
)

// JournalRecord is one step of a re-encryption.
type JournalRecord struct {
	Kind     Kind
	Sealed   [32]byte // SHA-256 of the sealed guest secret that the volume key comes of
	Sequence uint64   // the start's is 0
	Place    int64    // of a chunk in the payload; of Done, where the last one ended; in bytes
	Length   int64    // of a chunk in bytes, 1 to BufferSize
	Buffer   [32]byte // SHA-256 of what lies in a chunk's buffer
}

// ErrMAC is a record of the journal that was not made with the key.
var ErrMAC = errors.New("record of the journal is not authentic")

// EncodeJournal returns a record of JournalSize bytes, a single sector, that key
// authenticates: wire.JournalStartKey's for a start, wire.JournalKey's for the others.
func EncodeJournal(id ID, r JournalRecord, key []byte) []byte {
	b := blank(JournalSize, journalMagic, uint32(r.Kind), id)
	copy(b[journalSealed:], r.Sealed[:])
	binary.LittleEndian.PutUint64(b[sequenceOffset:], r.Sequence)
	binary.LittleEndian.PutUint64(b[placeOffset:], uint64(r.Place))
	binary.LittleEndian.PutUint64(b[lengthOffset:], uint64(r.Length))
	copy(b[bufferHash:], r.Buffer[:])
	mac := hmac.New(sha256.New, key)
	mac.Write(b[:journalMAC])
	return mac.Sum(b[:journalMAC])
}

// DecodeJournal is its inverse; key gives the key of a kind. The error is ErrForm,
// ErrID or ErrMAC.
func DecodeJournal(b []byte, id ID, key func(Kind) []byte) (JournalRecord, error) {
	word, err := first(b, JournalSize, journalMagic, id)
	if err != nil {
		return JournalRecord{}, err
	}
	r := JournalRecord{
		Kind: Kind(word), Sealed: [32]byte(b[journalSealed:]), Sequence: binary.LittleEndian.Uint64(b[sequenceOffset:]),
		Place:  int64(binary.LittleEndian.Uint64(b[placeOffset:])),
		Length: int64(binary.LittleEndian.Uint64(b[lengthOffset:])),
		Buffer: [32]byte(b[bufferHash:]),
	}
	if err := r.check(); err != nil {
		return JournalRecord{}, err
	}
	if !isZero(b[journalUnused:journalMAC]) {
		return JournalRecord{}, fmt.Errorf("%w: what is not used is not zero", ErrForm)
	}
	mac := hmac.New(sha256.New, key(r.Kind))
	mac.Write(b[:journalMAC])
	if !hmac.Equal(mac.Sum(nil), b[journalMAC:]) {
		return JournalRecord{}, ErrMAC
	}
	return r, nil
}

// check holds the fields against the kind.
func (r JournalRecord) check() error {
	bad := false
	switch r.Kind {
	case Start:
		bad = r != JournalRecord{Kind: Start, Sealed: r.Sealed}
	case Chunk:
		bad = r.Sequence == 0 || r.Place < 0 || r.Length <= 0 || r.Length > BufferSize
	case Done:
		bad = r.Sequence == 0 || r.Place < 0 || r.Length != 0 || r.Buffer != [32]byte{}
	default:
		return fmt.Errorf("%w: kind %d", ErrForm, r.Kind)
	}
	if bad {
		return fmt.Errorf("%w: its fields do not suit its kind", ErrForm)
	}
	return nil
}
