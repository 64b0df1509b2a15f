package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// appendRecords numbers the records and adds them to the chain, whose end is locked.
func (s *Store) appendRecords(ctx context.Context, q querier, at end, records []audit.Record) ([]audit.Entry, error) {
	if len(records) == 0 {
		return nil, nil
	}
	entries, head, err := at.Append(records)
	if err != nil {
		return nil, err
	}
	rows := make([][]any, len(entries))
	for i, e := range entries {
		rows[i] = append([]any{e.Seq, bytes.Clone(e.Hash[:]), e.Body}, columnsOf(e.Record).args()...)
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
	// The end is written anyhow: what was changed so far needs no writing of its own.
	if tx, ok := s.joined(ctx); ok {
		at.rows.add(tx.change)
		tx.change = rowSum{}
	}
	if err := s.writeEnd(ctx, q, at); err != nil {
		return nil, err
	}
	return entries, countUnlocks(ctx, q, entries)
}

// AuditHead returns the end of the audit log, to be kept elsewhere, see VerifyAuditAgainst.
func (s *Store) AuditHead(ctx context.Context) (audit.Head, error) {
	var at end
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		at, err = s.readEnd(ctx, q.QueryRowContext(ctx, `SELECT `+endColumns+` FROM audit_head WHERE id = 1`))
		return err
	})
	return at.Head, err
}
