package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
)

// table is a table whose rows are authenticated.
type table struct {
	name    string
	columns string // all that the MAC covers, separated by commas; the first is the primary key
	summed  bool   // its rows are part of the sum of all
	also    string // what else is read with a row
}

// selection is what the rows of the table are scanned from.
func (t table) selection() string { return t.columns + ", mac" + t.also }

// row is a row of such a table as it is written: its values are those of the
// columns.
type row interface {
	table() table
	values() []any
}

// insert writes a row, and reports whether there was none like it.
func (s *Store) insert(ctx context.Context, q querier, r row) (bool, error) {
	t, values := r.table(), r.values()
	mac, err := s.rowKey.mac(t.name, values...)
	if err != nil {
		return false, err
	}
	var b builder
	b.add("INSERT INTO " + t.name + " (" + t.columns + ", mac) VALUES ")
	b.list(append(values, mac[:]))
	b.add(" ON CONFLICT DO NOTHING")
	done, err := q.ExecContext(ctx, b.text.String(), b.args...)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	return true, s.noteChange(ctx, t, nil, &mac)
}

// update writes a row anew that was read, and locked, as old. The error wraps
// ErrNotFound.
func (s *Store) update(ctx context.Context, q querier, old, r row) error {
	t := r.table()
	was, err := s.rowKey.mac(t.name, old.values()...)
	if err != nil {
		return err
	}
	mac, err := s.rowKey.mac(t.name, r.values()...)
	if err != nil {
		return err
	}
	if err := overwrite(ctx, q, r, mac); err != nil {
		return err
	}
	return s.noteChange(ctx, t, &was, &mac)
}

// overwrite writes a row in place of the one with its key. The error wraps
// ErrNotFound.
func overwrite(ctx context.Context, q querier, r row, mac [sha256.Size]byte) error {
	t, values := r.table(), r.values()
	names := strings.Split(t.columns, ",")
	var b builder
	b.add("UPDATE " + t.name + " SET ")
	for i, name := range names[1:] {
		b.add(name+" = ?, ", values[i+1])
	}
	b.add("mac = ? WHERE "+names[0]+" = ?", mac[:], values[0])
	return affectOne(ctx, q, b.query())
}

// remove deletes rows, those for which a condition holds, and returns how many.
func (s *Store) remove(ctx context.Context, q querier, t table, where string, args ...any) (int64, error) {
	macs, err := collect(ctx, q, query{"DELETE FROM " + t.name + " WHERE " + where + " RETURNING mac", args}, scanHash)
	if err != nil {
		return 0, err
	}
	for i := range macs {
		if err := s.noteChange(ctx, t, &macs[i], nil); err != nil {
			return 0, err
		}
	}
	return int64(len(macs)), nil
}

// noteChange keeps a change of a row until the transaction ends, see settle.
func (s *Store) noteChange(ctx context.Context, t table, old, now *[sha256.Size]byte) error {
	if !t.summed {
		return nil
	}
	tx, ok := s.joined(ctx)
	if !ok {
		return fmt.Errorf("change a row of %s outside of a transaction", t.name)
	}
	if old != nil {
		tx.change.subtract(*old)
	}
	if now != nil {
		tx.change.add(*now)
	}
	return nil
}

// genuine checks what was read of a row. The error wraps ErrTampered.
func (s *Store) genuine(r row, mac []byte) error {
	return s.rowKey.check(mac, r.table().name, r.values()...)
}
