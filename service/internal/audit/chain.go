package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Head is a point of the chain: a record and the hash over it and all before it. The
// zero value is the beginning. Kept elsewhere, it shows later whether the log was cut
// or written anew.
type Head struct {
	Seq  int64
	Hash [32]byte
}

// String returns SEQ:HASH, in decimal and hexadecimal.
func (h Head) String() string { return fmt.Sprintf("%d:%x", h.Seq, h.Hash) }

// ParseHead reads what String wrote. The error wraps ErrInvalid.
func ParseHead(text string) (Head, error) {
	number, hash, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	raw, hexErr := hex.DecodeString(hash)
	h := Head{Seq: seq}
	if copy(h.Hash[:], raw); err != nil || hexErr != nil || seq < 0 || len(raw) != len(h.Hash) || h.String() != strings.ToLower(text) {
		return Head{}, invalidf("%.100q is not SEQ:HASH", text)
	}
	return h, nil
}

// next returns the head after a record that has this body.
func (h Head) next(body []byte) Head {
	return Head{h.Seq + 1, wire.AuditHash(h.Hash, h.Seq+1, body)}
}

// Append numbers records and hashes them. It returns them with the head after them.
func (h Head) Append(records []Record) ([]Entry, Head, error) {
	entries := make([]Entry, len(records))
	for i, r := range records {
		r.Seq = h.Seq + 1
		body, err := json.Marshal(r)
		if err != nil {
			return nil, h, fmt.Errorf("encode record: %w", err)
		}
		entries[i] = Entry{Record: r, PrevHash: h.Hash, Body: body}
		h = h.next(body)
		entries[i].Hash = h.Hash
	}
	return entries, h, nil
}

// Follow checks what is kept as the record that follows the head, and returns it with
// the head after it. The error is a *BrokenError.
func (h Head) Follow(seq int64, hash, body []byte) (Record, Head, error) {
	next := h.next(body)
	var record Record
	if seq != next.Seq {
		return record, h, &BrokenError{next.Seq, FaultMissing, fmt.Sprintf("record %d follows %d", seq, h.Seq)}
	}
	if err := json.Unmarshal(body, &record); err != nil {
		return record, h, &BrokenError{seq, FaultChanged, "it cannot be read"}
	}
	if record.Seq != seq {
		return record, h, &BrokenError{seq, FaultReordered, fmt.Sprintf("it was record %d", record.Seq)}
	}
	if string(hash) != string(next.Hash[:]) {
		return record, h, &BrokenError{seq, FaultChanged, "its hash is different"}
	}
	return record, next, nil
}
