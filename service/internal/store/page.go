package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Page sizes of lists.
const (
	DefaultPage = 50
	MaxPage     = 500
)

// Page is a part of a list, newest first. Next is the cursor of the part that
// follows, empty at the end.
type Page[T any] struct {
	Items []T
	Next  string
}

// pageSize brings what was asked for into bounds.
func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, MaxPage)
}

// position is where in a list, ordered by age, a page ended.
type position struct {
	createdAt time.Time
	id        wire.UUID
}

// cursorSize is a version, microseconds and a UUID.
const cursorSize = 1 + 8 + 16

func (p position) cursor() string {
	b := binary.BigEndian.AppendUint64([]byte{1}, uint64(p.createdAt.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id[:]...))
}

// parseCursor reads a cursor. The error wraps ErrCursor.
func parseCursor(cursor string) (position, error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) != cursorSize {
		return position{}, fmt.Errorf("%w: %.60q", ErrCursor, cursor)
	}
	p := position{time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))), wire.UUID(b[9:])}
	if p.cursor() != cursor { // another version, or base64 that has line breaks or spare bits
		return position{}, fmt.Errorf("%w: %.60q", ErrCursor, cursor)
	}
	return p, nil
}

// newest appends what restricts a list to a page after the cursor: one row more
// than the page has, to see whether there are more.
func (b *builder) newest(cursor string, limit int) error {
	if cursor != "" {
		after, err := parseCursor(cursor)
		if err != nil {
			return err
		}
		b.add(" AND (created_at, id) < (?, ?)", after.createdAt.UnixMicro(), after.id[:])
	}
	b.add(" ORDER BY created_at DESC, id DESC LIMIT ?", pageSize(limit)+1)
	return nil
}

// pageOf cuts off the row too many.
func pageOf[T any](items []T, limit int, at func(T) position) Page[T] {
	size := pageSize(limit)
	if len(items) <= size {
		return Page[T]{Items: items}
	}
	return Page[T]{Items: items[:size], Next: at(items[size-1]).cursor()}
}
