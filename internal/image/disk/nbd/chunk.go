package nbd

import (
	"encoding/binary"
	"fmt"
	"io"
)

// piece returns the part of the call's buffer that a chunk claims to fill.
func (r *call) piece(offset uint64, length int64) ([]byte, error) {
	from := int64(offset) - r.offset
	if from < 0 || length < 1 || from > int64(len(r.buf)) || length > int64(len(r.buf))-from || length > int64(r.missing) {
		return nil, fmt.Errorf("%w: %d bytes at %d where %d at %d were asked for", ErrProtocol, length, offset, len(r.buf), r.offset)
	}
	r.missing -= int(length)
	return r.buf[from : from+length], nil
}

func (r *call) takeData(src io.Reader, length int64) error {
	var offset [8]byte
	if _, err := io.ReadFull(src, offset[:]); err != nil {
		return err
	}
	b, err := r.piece(binary.BigEndian.Uint64(offset[:]), length)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(src, b)
	return err
}

func (r *call) takeHole(src io.Reader) error {
	var hole [12]byte
	if _, err := io.ReadFull(src, hole[:]); err != nil {
		return err
	}
	b, err := r.piece(binary.BigEndian.Uint64(hole[:]), int64(binary.BigEndian.Uint32(hole[8:])))
	if err != nil {
		return err
	}
	clear(b)
	return nil
}

// takeError reads code and message; a later chunk may follow it, and the first
// error counts.
func (r *call) takeError(src io.Reader, length int) error {
	b := make([]byte, length)
	if _, err := io.ReadFull(src, b); err != nil {
		return err
	}
	code, text := binary.BigEndian.Uint32(b), int(binary.BigEndian.Uint16(b[4:]))
	if code == 0 || text > length-6 {
		return fmt.Errorf("%w: malformed error", ErrProtocol)
	}
	if r.err == nil {
		r.err = &ServerError{Code: code, Message: string(b[6 : 6+text])}
	}
	return nil
}

// takeStatus reads the extents from the call's offset on.
func (r *call) takeStatus(src io.Reader, length int, context uint32) error {
	b := make([]byte, length)
	if _, err := io.ReadFull(src, b); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(b) != context || r.extents != nil {
		return fmt.Errorf("%w: extents of another context, or twice", ErrProtocol)
	}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		e := extent{length: binary.BigEndian.Uint32(b), flags: binary.BigEndian.Uint32(b[4:])}
		if e.length == 0 {
			return fmt.Errorf("%w: an extent of 0 bytes", ErrProtocol)
		}
		r.extents = append(r.extents, e)
	}
	return nil
}
