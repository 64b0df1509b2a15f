package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Head is a point of the audit chain: a record and the hash over it and all
// before it. The zero value is the beginning. Kept elsewhere, it shows later
// whether the log was cut or written anew, see VerifyAuditAgainst.
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

// appendRecords numbers the records and adds them to the chain, whose end is locked.
func (s *Store) appendRecords(ctx context.Context, q querier, at end, records []Record) ([]Entry, error) {
	if len(records) == 0 {
		return nil, nil
	}
	head := at.Head
	entries := make([]Entry, len(records))
	rows := make([][]any, len(records))
	for i, r := range records {
		r.Seq = head.Seq + 1
		body, err := r.body()
		if err != nil {
			return nil, err
		}
		entries[i] = Entry{Record: r, PrevHash: head.Hash, Body: body}
		head = head.next(body)
		entries[i].Hash = head.Hash
		rows[i] = append([]any{head.Seq, bytes.Clone(head.Hash[:]), body}, columnsOf(r).args()...)
	}
	for _, run := range runs(rows) {
		var b builder
		b.add("INSERT INTO audit (seq, hash, body, " + auditColumns + ") VALUES ")
		b.rows(run)
		if _, err := q.ExecContext(ctx, b.text.String(), b.args...); err != nil {
			return nil, fmt.Errorf("append to the audit log: %w", err)
		}
	}
	at.Head = head
	if err := s.writeEnd(ctx, q, at); err != nil {
		return nil, err
	}
	return entries, countUnlocks(ctx, q, entries)
}

// AuditHead returns the end of the audit log, to be kept elsewhere.
func (s *Store) AuditHead(ctx context.Context) (Head, error) {
	var at end
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		at, err = s.readEnd(ctx, q.QueryRowContext(ctx, `SELECT `+endColumns+` FROM audit_head WHERE id = 1`))
		return err
	})
	return at.Head, err
}
