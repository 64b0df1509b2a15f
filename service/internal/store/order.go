package store

import "fmt"

// Order is how a list of things with names is ordered.
type Order int

// Orders. Names are ordered without regard to case.
const (
	NewestFirst Order = iota
	OldestFirst
	NameAscending
	NameDescending
)

// columns is what follows ORDER BY, in a table that has the folded name so.
func (o Order) columns(name string) string {
	switch o {
	case OldestFirst:
		return "created_at, id"
	case NameAscending:
		return name + ", id"
	case NameDescending:
		return name + " DESC, id DESC"
	}
	return "created_at DESC, id DESC"
}

// span is the part of an ordered list that is wanted.
type span struct {
	order  Order
	cursor string // Next of the page before; with NewestFirst alone, and no offset
	offset int64
	limit  int
}

// cut restricts a list to its page. The error wraps ErrCursor.
func (b *builder) cut(s span, name string) error {
	if s.order == NewestFirst && s.offset == 0 {
		return b.newest(s.cursor, s.limit)
	}
	if s.cursor != "" || s.offset < 0 {
		return fmt.Errorf("%w: %.60q at %d", ErrCursor, s.cursor, s.offset)
	}
	b.add(" ORDER BY "+s.order.columns(name)+" LIMIT ? OFFSET ?", pageSize(s.limit)+1, s.offset)
	return nil
}
