package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// verifyPage is how many records are in memory at a time.
const verifyPage = 200

// VerifyAudit checks the records from the given one to the end of the log as it
// is now, and the rows that decisions rest on, and returns that end. What comes before is taken on trust, so from
// should be 1, or follow a head that was verified before. Progress, when it is
// not nil, is told the last record checked, now and then. The error is a
// *audit.BrokenError when the log is broken.
func (s *Store) VerifyAudit(ctx context.Context, from int64, progress func(seq int64)) (audit.Head, error) {
	end, err := s.auditEnd(ctx)
	if err != nil {
		return audit.Head{}, err
	}
	if from < 1 || from > end.Seq+1 {
		return audit.Head{}, fmt.Errorf("verify audit log: %w", invalidf("record %d: the log has records 1 to %d", from, end.Seq))
	}
	head, err := s.headAt(ctx, from-1)
	if err != nil {
		return audit.Head{}, err
	}
	for head.Seq < end.Seq {
		if head, err = s.verifyPage(ctx, head, end.Seq); err != nil {
			return audit.Head{}, err
		}
		if progress != nil {
			progress(head.Seq)
		}
	}
	if head != end {
		return audit.Head{}, &audit.BrokenError{Seq: end.Seq, Fault: audit.FaultHead, Detail: "the last record has a different hash"}
	}
	return end, s.verifySealed(ctx, end)
}

// verifySealed checks what the service wrote under its key.
func (s *Store) verifySealed(ctx context.Context, end audit.Head) error {
	_, err := s.AuditHead(ctx)
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrCorrupt) {
		return &audit.BrokenError{Seq: end.Seq, Fault: audit.FaultHead, Detail: "its MAC is not this service's: the end was cut off, or the key-encryption key was rotated"}
	}
	if err == nil {
		err = s.VerifyRows(ctx)
	}
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrCorrupt) {
		return &audit.BrokenError{Seq: end.Seq, Fault: audit.FaultRows, Detail: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return err
}

// auditEnd returns the end of the chain. There are no records beyond it.
func (s *Store) auditEnd(ctx context.Context) (audit.Head, error) {
	var end audit.Head
	var last int64
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		var hash []byte
		err := q.QueryRowContext(ctx, `SELECT seq, hash, (SELECT COALESCE(MAX(seq), 0) FROM audit) FROM audit_head WHERE id = 1`).
			Scan(&end.Seq, &hash, &last)
		if err == nil && end.Seq > 0 {
			err = exactly(end.Hash[:]).Scan(hash)
		}
		return err
	})
	switch {
	case err != nil:
		return audit.Head{}, fmt.Errorf("verify audit log: %w", err)
	case last > end.Seq:
		return audit.Head{}, &audit.BrokenError{Seq: end.Seq + 1, Fault: audit.FaultAdded, Detail: "the chain ends before"}
	}
	return end, nil
}

// headAt returns the chain at a record, on trust.
func (s *Store) headAt(ctx context.Context, seq int64) (audit.Head, error) {
	if seq == 0 {
		return audit.Head{}, nil
	}
	var found [][32]byte
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, query{`SELECT hash FROM audit WHERE seq = $1`, []any{seq}}, scanHash)
		return err
	})
	switch {
	case errors.Is(err, ErrCorrupt):
		return audit.Head{}, &audit.BrokenError{Seq: seq, Fault: audit.FaultChanged, Detail: "its hash has the wrong length"}
	case err != nil:
		return audit.Head{}, fmt.Errorf("verify audit log: %w", err)
	case len(found) == 0:
		return audit.Head{}, &audit.BrokenError{Seq: seq, Fault: audit.FaultMissing, Detail: ""}
	}
	return audit.Head{Seq: seq, Hash: found[0]}, nil
}

// storedRecord is a row of the audit table.
type storedRecord struct {
	seq     int64
	hash    []byte
	body    []byte // nil when it is longer than any record
	columns columns
}

// verifyPage checks the records after head, a page of them and none after last.
func (s *Store) verifyPage(ctx context.Context, head audit.Head, last int64) (audit.Head, error) {
	var page []storedRecord
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		page, err = collect(ctx, q, query{
			`SELECT seq, hash, CASE WHEN LENGTH(body) <= $1 THEN body END, ` + auditColumns + `
			FROM audit WHERE seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4`, []any{audit.MaxBody, head.Seq, last, verifyPage},
		}, func(row scanner) (r storedRecord, err error) {
			err = row.Scan(append([]any{&r.seq, &r.hash, &r.body}, r.columns.fields()...)...)
			return r, err
		})
		return err
	})
	if err != nil {
		return audit.Head{}, fmt.Errorf("verify audit log: %w", err)
	}
	for _, r := range page {
		if head, err = r.verify(head); err != nil {
			return audit.Head{}, err
		}
	}
	if len(page) == 0 {
		return audit.Head{}, &audit.BrokenError{Seq: head.Seq + 1, Fault: audit.FaultMissing, Detail: fmt.Sprintf("the chain goes on to record %d", last)}
	}
	return head, nil
}

// verify checks a record that should follow head.
func (r *storedRecord) verify(head audit.Head) (audit.Head, error) {
	record, next, err := head.Follow(r.seq, r.hash, r.body)
	if err != nil {
		return audit.Head{}, err
	}
	if name := columnsOf(record).difference(r.columns); name != "" {
		return audit.Head{}, &audit.BrokenError{Seq: r.seq, Fault: audit.FaultColumn, Detail: name}
	}
	return next, nil
}

// VerifyAuditAgainst checks that the log still holds the record that was its end
// when the anchor was taken: audit.FaultMissing means that it was cut, audit.FaultAnchor that
// it was written anew. Together with VerifyAudit it shows that nothing up to the
// anchor was touched. The error is a *audit.BrokenError when the log is broken.
func (s *Store) VerifyAuditAgainst(ctx context.Context, anchor audit.Head) error {
	have, err := s.headAt(ctx, anchor.Seq)
	if err != nil {
		return err
	}
	if have != anchor {
		return &audit.BrokenError{Seq: anchor.Seq, Fault: audit.FaultAnchor, Detail: fmt.Sprintf("the log has %s", have)}
	}
	return nil
}
