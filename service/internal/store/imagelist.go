package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// ImageFilter says which images to list. The zero value lists all.
type ImageFilter struct {
	Name    string            // part of the name, in either case
	Labels  map[string]string // all of these
	Enabled *bool

	Order  Order
	Cursor string // Next of the page before; with NewestFirst alone, and no offset
	Offset int64  // images before the page
	Limit  int    // of the page: DefaultPage when zero, MaxPage at most
}

// foldedImageName is the column by which images are ordered.
const foldedImageName = "name_folded"

// ListImages returns a page of images. The error wraps ErrCursor.
func (s *Store) ListImages(ctx context.Context, filter ImageFilter) (Page[Image], error) {
	common, err := s.commonLabels(ctx, filter.Labels)
	if err != nil {
		return Page[Image]{}, fmt.Errorf("list images: %w", err)
	}
	var b builder
	// Finding needs an index alone; the rest of an image is read of those found.
	b.add("SELECT " + imageColumns + ", mac FROM images WHERE id IN (SELECT id FROM images WHERE TRUE")
	filter.restrict(&b, common)
	if err := b.cut(span{filter.Order, filter.Cursor, filter.Offset, filter.Limit}, foldedImageName); err != nil {
		return Page[Image]{}, fmt.Errorf("list images: %w", err)
	}
	b.add(") ORDER BY " + filter.Order.columns(foldedImageName))
	var page Page[Image]
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		found, err := collect(ctx, q, b.query(), s.scanImage)
		if err != nil {
			return err
		}
		page = pageOf(found, filter.Limit, func(i Image) position { return position{i.CreatedAt, i.ID} })
		return loadLabels(ctx, q, page.Items)
	})
	if err != nil {
		return Page[Image]{}, fmt.Errorf("list images: %w", err)
	}
	if filter.Order != NewestFirst {
		page.Next = "" // a cursor is a place in the order of age
	}
	return page, nil
}

// CountImages returns how many images there are, whatever the page.
func (s *Store) CountImages(ctx context.Context, filter ImageFilter) (n int64, err error) {
	common, err := s.commonLabels(ctx, filter.Labels)
	if err != nil {
		return 0, fmt.Errorf("count images: %w", err)
	}
	var b builder
	if filter.oneLabel() { // which is what a click on a label asks for: its index has them all
		b.add("SELECT COUNT(*) FROM image_labels WHERE TRUE")
		for label, content := range filter.Labels {
			b.add(" AND label = ? AND content = ?", audit.Storable(label), audit.Storable(content))
		}
	} else {
		b.add("SELECT COUNT(*) FROM images WHERE TRUE")
		filter.restrict(&b, common)
	}
	ask := b.query()
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, ask.text, ask.args...).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count images: %w", err)
	}
	return n, nil
}

// oneLabel reports whether a label is all that is asked for.
func (f *ImageFilter) oneLabel() bool {
	return f.Name == "" && f.Enabled == nil && len(f.Labels) == 1
}

// commonLabel is how many images have a label that is common: so many that it takes
// less time to look for it in each image of the list than to look for its images.
const commonLabel = 2000

// commonLabels returns which labels are common.
func (s *Store) commonLabels(ctx context.Context, labels map[string]string) (map[string]bool, error) {
	common := map[string]bool{}
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		for label, content := range labels {
			var n int64
			if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM image_labels WHERE label = $1 AND content = $2 LIMIT $3) found`,
				audit.Storable(label), audit.Storable(content), commonLabel).Scan(&n); err != nil {
				return err
			}
			common[label] = n == commonLabel
		}
		return nil
	})
	return common, err
}

func (f *ImageFilter) restrict(b *builder, common map[string]bool) {
	if f.Name != "" {
		b.add(` AND name_folded LIKE ? ESCAPE '\'`, "%"+escapeLike(strings.ToLower(f.Name))+"%")
	}
	if f.Enabled != nil {
		b.add(" AND enabled = ?", *f.Enabled)
	}
	for _, label := range slices.Sorted(maps.Keys(f.Labels)) {
		how := " AND id IN (SELECT image_id FROM image_labels WHERE label = ? AND content = ?)"
		if common[label] {
			how = " AND EXISTS (SELECT 1 FROM image_labels WHERE image_id = images.id AND label = ? AND content = ?)"
		}
		b.add(how, audit.Storable(label), audit.Storable(f.Labels[label]))
	}
}

func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(audit.Storable(text))
}
