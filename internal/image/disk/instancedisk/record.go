package instancedisk

import (
	"bytes"
	"fmt"
	"io"
)

// Fields of an instance record (docs/disk-format.md, "The instance record").
const (
	recordMagic   = "SNPGINS\x00"
	recordContent = bodyOffset + checksumSize
)

// MaxSealed is the most that an instance record holds, in bytes.
const MaxSealed = RecordSize - recordContent

// EncodeRecord returns the record, RecordSize bytes, of a sealed guest secret of 1 to
// MaxSealed bytes. Both copies on the disk are the same.
func EncodeRecord(id ID, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || len(sealed) > MaxSealed {
		return nil, fmt.Errorf("encode instance record: sealed secret of %d bytes, want 1 to %d", len(sealed), MaxSealed)
	}
	return withContent(blank(RecordSize, recordMagic, uint32(len(sealed)), id), recordContent, sealed), nil
}

// DecodeRecord returns a copy of the sealed guest secret in a record of RecordSize
// bytes. The error is ErrID or ErrForm.
func DecodeRecord(b []byte, id ID) (sealed []byte, err error) {
	length, err := first(b, RecordSize, recordMagic, id)
	if err != nil {
		return nil, err
	}
	return content(b, recordContent, length)
}

// ReadRecords returns the sealed guest secrets that the copies on a partition hold,
// each once. There are two when a cut came between writing one copy and the other:
// the service knows which of them was claimed. The error says why there is none.
func ReadRecords(r io.ReaderAt, id ID) ([][]byte, error) {
	var found [][]byte
	var why error
	for number := range 2 {
		b := make([]byte, RecordSize)
		if _, err := r.ReadAt(b, RecordAt(number)); err != nil {
			return nil, fmt.Errorf("read instance record: %w", err)
		}
		switch sealed, err := DecodeRecord(b, id); {
		case err != nil:
			why = err
		case len(found) == 0 || !bytes.Equal(found[0], sealed):
			found = append(found, sealed)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("read instance record: %w", why)
	}
	return found, nil
}
