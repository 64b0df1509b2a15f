package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// InstanceFilter says which instances to list. The zero value lists all that are not
// deleted.
type InstanceFilter struct {
	Image   wire.UUID
	State   wire.InstanceState
	Search  string // part of the name
	Deleted bool   // those that are deleted, and they alone
}

// ListInstances returns a page of instances, newest first: those after the cursor, which
// is empty or Next of the page before. The error wraps ErrCursor.
func (s *Store) ListInstances(ctx context.Context, f InstanceFilter, cursor string, limit int) (Page[Instance], error) {
	var b builder
	// Finding needs an index alone; the rest of an instance is read of those found.
	b.add("SELECT " + instanceColumns + ", mac FROM instances WHERE id IN (SELECT id FROM instances WHERE ")
	f.restrict(&b)
	if err := b.newest(cursor, limit); err != nil {
		return Page[Instance]{}, fmt.Errorf("list instances: %w", err)
	}
	b.add(") ORDER BY " + NewestFirst.columns(""))
	var page Page[Instance]
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, b.query(), s.scanInstance)
		page = pageOf(found, limit, func(i Instance) position { return position{i.CreatedAt, i.ID} })
		return err
	})
	if err != nil {
		return Page[Instance]{}, fmt.Errorf("list instances: %w", err)
	}
	return page, nil
}

// restrict begins with the words that let the indexes of those that are not deleted, or
// of those that are, be used.
func (f *InstanceFilter) restrict(b *builder) {
	if f.Deleted {
		b.add("deleted_at <> 0")
	} else {
		b.add("deleted_at = 0")
	}
	if !f.Image.IsZero() {
		b.add(" AND image_id = ?", f.Image[:])
	}
	if f.State != "" {
		b.add(" AND state = ?", audit.Storable(string(f.State)))
	}
	if f.Search != "" {
		b.add(` AND name LIKE ? ESCAPE '\'`, "%"+escapeLike(strings.ToLower(f.Search))+"%")
	}
}

// InstanceCounts is how many instances there are: in each state, whether they are enabled
// or not, how many of these are disabled, and how many are deleted besides.
type InstanceCounts struct{ New, Claimed, Ready, Disabled, Deleted int64 }

// CountInstances counts the instances of an image, or all with the zero image.
func (s *Store) CountInstances(ctx context.Context, image wire.UUID) (InstanceCounts, error) {
	var counts InstanceCounts
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		counts = InstanceCounts{}
		var b, deleted builder
		b.add("SELECT state, enabled, COUNT(*) FROM instances WHERE ")
		deleted.add("SELECT COUNT(*) FROM instances WHERE ")
		(&InstanceFilter{Image: image}).restrict(&b)
		(&InstanceFilter{Image: image, Deleted: true}).restrict(&deleted)
		b.add(" GROUP BY state, enabled")
		_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) { return struct{}{}, counts.add(row) })
		if err != nil {
			return err
		}
		ask := deleted.query()
		return q.QueryRowContext(ctx, ask.text, ask.args...).Scan(&counts.Deleted)
	})
	if err != nil {
		return InstanceCounts{}, fmt.Errorf("count instances: %w", err)
	}
	return counts, nil
}

// add counts a row of a state, whether they are enabled, and how many they are.
func (c *InstanceCounts) add(row scanner) error {
	var state string
	var enabled bool
	var n int64
	if err := row.Scan(&state, &enabled, &n); err != nil {
		return err
	}
	switch wire.InstanceState(state) {
	case wire.StateNew:
		c.New += n
	case wire.StateClaimed:
		c.Claimed += n
	case wire.StateReady:
		c.Ready += n
	default:
		return fmt.Errorf("%w: an instance is %.20q", ErrCorrupt, state)
	}
	if !enabled {
		c.Disabled += n
	}
	return nil
}
