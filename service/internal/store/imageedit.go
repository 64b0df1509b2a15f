package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// SetImageEnabled lets the launches of an image have their keys, or no longer.
// The error wraps ErrNotFound.
func (s *Store) SetImageEnabled(ctx context.Context, id wire.UUID, enabled bool) error {
	return s.changeImage(ctx, id, func(i *Image) error {
		i.Enabled = enabled
		return nil
	})
}

// RenameImage gives an image another name. The error wraps ErrInvalid,
// ErrNotFound or ErrNameTaken.
func (s *Store) RenameImage(ctx context.Context, id wire.UUID, name string) error {
	if err := checkName("name", name); err != nil {
		return fmt.Errorf("rename image: %w", err)
	}
	err := s.changeImage(ctx, id, func(i *Image) error {
		i.Name = name
		return nil
	})
	if isUnique(err) {
		return fmt.Errorf("rename image: %w", ErrNameTaken)
	}
	return err
}

// SetLaunchLimit bounds the launches of an image. The error wraps ErrInvalid or
// ErrNotFound.
func (s *Store) SetLaunchLimit(ctx context.Context, id wire.UUID, limit LaunchLimit) error {
	if err := limit.validate(); err != nil {
		return fmt.Errorf("limit launches: %w", err)
	}
	return s.changeImage(ctx, id, func(i *Image) error {
		i.LaunchLimit = limit
		return nil
	})
}

// SetKeepReleases says how many releases of an image stay when older ones retire by
// themselves; 0 keeps all. The error wraps ErrInvalid or ErrNotFound.
func (s *Store) SetKeepReleases(ctx context.Context, id wire.UUID, keep int64) error {
	if err := checkKeep(keep); err != nil {
		return fmt.Errorf("keep releases: %w", err)
	}
	return s.changeImage(ctx, id, func(i *Image) error {
		i.KeepReleases = keep
		return nil
	})
}

func checkKeep(keep int64) error {
	if keep < 0 || keep > MaxReleases {
		return invalidf("%d releases to keep, want 0 to %d", keep, MaxReleases)
	}
	return nil
}

// UpdateImagePolicy replaces the policy of an image if it still has the given
// revision, and returns the new one. The error wraps ErrInvalid, ErrNotFound or
// ErrChanged.
func (s *Store) UpdateImagePolicy(ctx context.Context, id wire.UUID, policy []byte, revision int64) (int64, error) {
	if err := checkBytes("policy", policy); err != nil {
		return 0, fmt.Errorf("update policy: %w", err)
	}
	err := s.changeImage(ctx, id, func(i *Image) error {
		if i.PolicyRevision != revision {
			return ErrChanged
		}
		i.Policy, i.PolicyRevision = policy, revision+1
		return nil
	})
	return revision + 1, err
}

// changeImage changes an image that was read, and checked, under a lock. The error
// is change's, or wraps ErrNotFound.
func (s *Store) changeImage(ctx context.Context, id wire.UUID, change func(*Image) error) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		old, err := s.lockImage(ctx, q, id)
		if err != nil {
			return err
		}
		changed := old
		if err := change(&changed); err != nil {
			return err
		}
		return s.update(ctx, q, &old, &changed)
	})
	if err != nil {
		return fmt.Errorf("change image: %w", err)
	}
	return nil
}

// SetImageLabels replaces all labels of an image. The error wraps ErrInvalid or
// ErrNotFound.
func (s *Store) SetImageLabels(ctx context.Context, id wire.UUID, labels map[string]string) error {
	if err := checkLabels(labels); err != nil {
		return fmt.Errorf("label image: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := s.lockImage(ctx, q, id); err != nil {
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

// lockImage returns an image, without its labels, and keeps others from changing it
// until the transaction ends. The error wraps ErrNotFound.
func (s *Store) lockImage(ctx context.Context, q querier, id wire.UUID) (Image, error) {
	found, err := collect(ctx, q, query{`UPDATE images SET id = id WHERE id = $1 RETURNING ` + imageColumns + `, mac`, []any{id[:]}}, s.scanImage)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Image{}, err
	}
	return found[0], nil
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
