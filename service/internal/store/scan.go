package store

import (
	"context"
	"fmt"
	"time"
)

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// exactly scans a column of as many bytes as it has.
type exactly []byte

// Scan implements sql.Scanner. The error wraps ErrCorrupt.
func (e exactly) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(e) {
		return fmt.Errorf("%w: column has %T of %d bytes, want %d", ErrCorrupt, src, len(b), len(e))
	}
	copy(e, b)
	return nil
}

// maybe scans a column like exactly, but leaves its bytes alone for NULL.
type maybe []byte

// Scan implements sql.Scanner. The error wraps ErrCorrupt.
func (m maybe) Scan(src any) error {
	if src == nil {
		return nil
	}
	return exactly(m).Scan(src)
}

// instant scans a column of microseconds.
type instant struct{ time *time.Time }

// Scan implements sql.Scanner. The error wraps ErrCorrupt.
func (i instant) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%w: column has %T, want a time", ErrCorrupt, src)
	}
	*i.time = time.Time{}
	if n != 0 {
		*i.time = time.UnixMicro(n).UTC()
	}
	return nil
}

// seconds scans a column of whole seconds.
type seconds struct{ duration *time.Duration }

// Scan implements sql.Scanner. The error wraps ErrCorrupt.
func (s seconds) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%w: column has %T, want seconds", ErrCorrupt, src)
	}
	*s.duration = time.Duration(n) * time.Second
	return nil
}

// micros returns a time as columns have it, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// query is a statement and its arguments.
type query struct {
	text string
	args []any
}

// collect reads all rows.
func collect[T any](ctx context.Context, q querier, ask query, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := q.QueryContext(ctx, ask.text, ask.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
