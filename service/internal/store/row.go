package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
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
	return true, s.noteChange(ctx, nil, r)
}

// update writes a row anew that was read, and locked, as old. The error wraps
// ErrNotFound.
func (s *Store) update(ctx context.Context, q querier, old, r row) error {
	mac, err := s.rowKey.mac(r.table().name, r.values()...)
	if err != nil {
		return err
	}
	if err := overwrite(ctx, q, r, mac); err != nil {
		return err
	}
	return s.noteChange(ctx, old, r)
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

// errOutside is a mistake of this package.
var errOutside = errors.New("change a row outside of a transaction")

// pointer is a pointer to a row type.
type pointer[T any] interface {
	*T
	row
}

// remove deletes rows, those for which a condition holds, and returns how many. Scan
// checks each: what nobody but the service wrote takes nothing off the sum.
func remove[T any, R pointer[T]](ctx context.Context, s *Store, scan func(scanner) (T, error), where query) (int64, error) {
	removed, err := take[T, R](ctx, s, scan, where)
	return int64(len(removed)), err
}

// take is remove that returns the rows.
func take[T any, R pointer[T]](ctx context.Context, s *Store, scan func(scanner) (T, error), where query) ([]T, error) {
	tx, ok := s.joined(ctx)
	if !ok {
		return nil, errOutside
	}
	t := R(new(T)).table()
	removed, err := collect(ctx, tx, query{"DELETE FROM " + t.name + " WHERE " + where.text + " RETURNING " + t.selection(), where.args}, scan)
	if err != nil {
		return nil, err
	}
	for i := range removed {
		if err := s.noteChange(ctx, R(&removed[i]), nil); err != nil {
			return nil, err
		}
	}
	return removed, nil
}

// noteChange keeps a change of a row until the transaction ends, see settle. old or
// now is nil for none.
func (s *Store) noteChange(ctx context.Context, old, now row) error {
	if t := cmp.Or(now, old).table(); !t.summed {
		return nil
	}
	tx, ok := s.joined(ctx)
	if !ok {
		return errOutside
	}
	if old != nil {
		term, err := s.rowKey.term(old)
		if err != nil {
			return err
		}
		tx.change.subtract(term)
	}
	if now != nil {
		term, err := s.rowKey.term(now)
		if err != nil {
			return err
		}
		tx.change.add(term)
	}
	return nil
}

// genuine checks what was read of a row. The error wraps ErrTampered.
func (s *Store) genuine(r row, mac []byte) error {
	return s.rowKey.check(mac, r.table().name, r.values()...)
}
