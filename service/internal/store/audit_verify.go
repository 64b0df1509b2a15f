package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Fault is how a record of the audit log is broken.
type Fault string

// The faults.
const (
	FaultChanged   Fault = "changed"   // the record or its hash is not what was written
	FaultMissing   Fault = "missing"   // there is no record of this number
	FaultReordered Fault = "reordered" // it was written under another number
	FaultColumn    Fault = "column"    // a column by which it is found says something else
	FaultAdded     Fault = "added"     // it is beyond the end of the chain
	FaultHead      Fault = "head"      // the end of the chain does not belong to it, or the service did not write it
	FaultRows      Fault = "rows"      // images, releases, tokens or secrets are not as the service wrote them
	FaultAnchor    Fault = "anchor"    // the record is not the anchored one: the log was written anew
)

// BrokenError says which record of the audit log is the first that is broken.
type BrokenError struct {
	Seq    int64
	Fault  Fault
	Detail string
}

// Error returns one line.
func (e *BrokenError) Error() string {
	text := fmt.Sprintf("audit log is broken at record %d: %s", e.Seq, e.Fault)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	return text
}

// verifyPage is how many records are in memory at a time.
const verifyPage = 200

// VerifyAudit checks the records from the given one to the end of the log as it
// is now, and the rows that decisions rest on, and returns that end. What comes before is taken on trust, so from
// should be 1, or follow a head that was verified before. Progress, when it is
// not nil, is told the last record checked, now and then. The error is a
// *BrokenError when the log is broken.
func (s *Store) VerifyAudit(ctx context.Context, from int64, progress func(seq int64)) (Head, error) {
	end, err := s.auditEnd(ctx)
	if err != nil {
		return Head{}, err
	}
	if from < 1 || from > end.Seq+1 {
		return Head{}, fmt.Errorf("verify audit log: %w", invalidf("record %d: the log has records 1 to %d", from, end.Seq))
	}
	head, err := s.headAt(ctx, from-1)
	if err != nil {
		return Head{}, err
	}
	for head.Seq < end.Seq {
		if head, err = s.verifyPage(ctx, head, end.Seq); err != nil {
			return Head{}, err
		}
		if progress != nil {
			progress(head.Seq)
		}
	}
	if head != end {
		return Head{}, &BrokenError{end.Seq, FaultHead, "the last record has another hash"}
	}
	return end, s.verifySealed(ctx, end)
}

// verifySealed checks what the service wrote under its key.
func (s *Store) verifySealed(ctx context.Context, end Head) error {
	_, err := s.AuditHead(ctx)
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrCorrupt) {
		return &BrokenError{end.Seq, FaultHead, "its MAC is not this service's: the end was cut off, or the key-encryption key was rotated"}
	}
	if err == nil {
		err = s.VerifyRows(ctx)
	}
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrCorrupt) {
		return &BrokenError{end.Seq, FaultRows, strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return err
}

// auditEnd returns the end of the chain. There are no records beyond it.
func (s *Store) auditEnd(ctx context.Context) (Head, error) {
	var end Head
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
		return Head{}, fmt.Errorf("verify audit log: %w", err)
	case last > end.Seq:
		return Head{}, &BrokenError{end.Seq + 1, FaultAdded, "the chain ends before"}
	}
	return end, nil
}

// headAt returns the chain at a record, on trust.
func (s *Store) headAt(ctx context.Context, seq int64) (Head, error) {
	if seq == 0 {
		return Head{}, nil
	}
	var found [][32]byte
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, query{`SELECT hash FROM audit WHERE seq = $1`, []any{seq}}, scanHash)
		return err
	})
	switch {
	case errors.Is(err, ErrCorrupt):
		return Head{}, &BrokenError{seq, FaultChanged, "its hash has the wrong length"}
	case err != nil:
		return Head{}, fmt.Errorf("verify audit log: %w", err)
	case len(found) == 0:
		return Head{}, &BrokenError{seq, FaultMissing, ""}
	}
	return Head{seq, found[0]}, nil
}

// storedRecord is a row of the audit table.
type storedRecord struct {
	seq     int64
	hash    []byte
	body    []byte // nil when it is longer than any record
	columns columns
}

// verifyPage checks the records after head, a page of them and none after last.
func (s *Store) verifyPage(ctx context.Context, head Head, last int64) (Head, error) {
	var page []storedRecord
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		page, err = collect(ctx, q, query{
			`SELECT seq, hash, CASE WHEN LENGTH(body) <= $1 THEN body END, ` + auditColumns + `
			FROM audit WHERE seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4`, []any{maxAuditBody, head.Seq, last, verifyPage},
		}, func(row scanner) (r storedRecord, err error) {
			err = row.Scan(append([]any{&r.seq, &r.hash, &r.body}, r.columns.fields()...)...)
			return r, err
		})
		return err
	})
	if err != nil {
		return Head{}, fmt.Errorf("verify audit log: %w", err)
	}
	for _, r := range page {
		if head, err = r.verify(head); err != nil {
			return Head{}, err
		}
	}
	if len(page) == 0 {
		return Head{}, &BrokenError{head.Seq + 1, FaultMissing, fmt.Sprintf("the chain goes on to record %d", last)}
	}
	return head, nil
}

// verify checks a record that should follow head.
func (r *storedRecord) verify(head Head) (Head, error) {
	next := head.next(r.body)
	if r.seq != next.Seq {
		return Head{}, &BrokenError{next.Seq, FaultMissing, fmt.Sprintf("record %d follows %d", r.seq, head.Seq)}
	}
	var record Record
	if err := json.Unmarshal(r.body, &record); err != nil {
		return Head{}, &BrokenError{r.seq, FaultChanged, "it cannot be read"}
	}
	if record.Seq != r.seq {
		return Head{}, &BrokenError{r.seq, FaultReordered, fmt.Sprintf("it was record %d", record.Seq)}
	}
	if string(r.hash) != string(next.Hash[:]) {
		return Head{}, &BrokenError{r.seq, FaultChanged, "its hash is another"}
	}
	if name := columnsOf(record).difference(r.columns); name != "" {
		return Head{}, &BrokenError{r.seq, FaultColumn, name}
	}
	return next, nil
}

// VerifyAuditAgainst checks that the log still holds the record that was its end
// when the anchor was taken: FaultMissing means that it was cut, FaultAnchor that
// it was written anew. Together with VerifyAudit it shows that nothing up to the
// anchor was touched. The error is a *BrokenError when the log is broken.
func (s *Store) VerifyAuditAgainst(ctx context.Context, anchor Head) error {
	have, err := s.headAt(ctx, anchor.Seq)
	if err != nil {
		return err
	}
	if have != anchor {
		return &BrokenError{anchor.Seq, FaultAnchor, fmt.Sprintf("the log has %s", have)}
	}
	return nil
}
