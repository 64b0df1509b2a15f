package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

// SetImageEnabled lets the launches of an image have their keys, or no longer.
// The error wraps ErrNotFound.
func (s *Store) SetImageEnabled(ctx context.Context, id wire.UUID, enabled bool) error {
	return s.editOne(ctx, "image", query{`UPDATE images SET enabled = $1 WHERE id = $2`, []any{enabled, id[:]}})
}

// RenameImage gives an image another name. The error wraps ErrInvalid,
// ErrNotFound or ErrNameTaken.
func (s *Store) RenameImage(ctx context.Context, id wire.UUID, name string) error {
	if err := checkName("name", name); err != nil {
		return fmt.Errorf("rename image: %w", err)
	}
	err := s.editOne(ctx, "image", query{
		`UPDATE images SET name = $1, name_folded = $2 WHERE id = $3`, []any{name, strings.ToLower(name), id[:]},
	})
	if isUnique(err) {
		return fmt.Errorf("rename image: %w", ErrNameTaken)
	}
	return err
}

// SetImageLabels replaces all labels of an image. The error wraps ErrInvalid or
// ErrNotFound.
func (s *Store) SetImageLabels(ctx context.Context, id wire.UUID, labels map[string]string) error {
	if err := checkLabels(labels); err != nil {
		return fmt.Errorf("label image: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if err := lockImage(ctx, q, id); err != nil {
			return err
		}
		if _, err := q.ExecContext(ctx, `DELETE FROM image_labels WHERE image_id = $1`, id[:]); err != nil {
			return err
		}
		return insertLabels(ctx, q, id, labels)
	})
	if err != nil {
		return fmt.Errorf("label image: %w", err)
	}
	return nil
}

// lockImage keeps others from changing an image until the transaction ends. The
// error wraps ErrNotFound.
func lockImage(ctx context.Context, q querier, id wire.UUID) error {
	return affectOne(ctx, q, query{`UPDATE images SET enabled = enabled WHERE id = $1`, []any{id[:]}})
}

// editOne runs a statement that changes one row, of the thing named. The error
// wraps ErrNotFound when there is none.
func (s *Store) editOne(ctx context.Context, thing string, change query) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error { return affectOne(ctx, q, change) })
	if err != nil {
		return fmt.Errorf("change %s: %w", thing, err)
	}
	return nil
}

func affectOne(ctx context.Context, q querier, change query) error {
	done, err := q.ExecContext(ctx, change.text, change.args...)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	switch {
	case err != nil:
		return err
	case n == 0:
		return ErrNotFound
	case n > 1:
		return errors.New("more than one row changed")
	}
	return nil
}
