package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// InstanceModeError is what an image's mode of instances does not allow, or a change of
// the mode that comes too late. It wraps ErrChanged.
type InstanceModeError struct{ Why string }

// Error says why not.
func (e *InstanceModeError) Error() string { return e.Why }

// Unwrap returns ErrChanged.
func (e *InstanceModeError) Unwrap() error { return ErrChanged }

// The error wraps ErrInvalid.
func checkSettings(settings wire.InstanceSettings) error {
	if err := settings.Validate(); err != nil {
		return invalidf("%s", err)
	}
	return nil
}

// SetInstanceSettings says whether copies of an image's disk become VMs with keys of
// their own. An image that has given its golden key away under the mode none keeps that
// mode, and one with instances, or that has given keys to some, gets it no more; deleted
// instances count until they are gone. The error is an *InstanceModeError, or wraps
// ErrInvalid or ErrNotFound.
func (s *Store) SetInstanceSettings(ctx context.Context, image wire.UUID, settings wire.InstanceSettings) error {
	if err := checkSettings(settings); err != nil {
		return fmt.Errorf("set instances: %w", err)
	}
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		return s.changeImage(ctx, image, func(i *Image) error {
			if (i.Instances.Mode == wire.InstancesNone) != (settings.Mode == wire.InstancesNone) {
				if err := s.checkUnused(ctx, q, i); err != nil {
					return err
				}
			}
			i.Instances = settings
			return nil
		})
	})
}

// checkUnused wants an image that is locked to have neither instances nor grants. With
// the end of the log locked none is recorded meanwhile, and afterwards a grant finds
// that the image has changed.
func (s *Store) checkUnused(ctx context.Context, q querier, i *Image) error {
	if _, err := s.lockEnd(ctx, q); err != nil {
		return err
	}
	granted, err := exists(ctx, q, query{`SELECT 1 FROM grants WHERE image_id = $1 LIMIT 1`, []any{i.ID[:]}})
	if err != nil {
		return err
	}
	if granted {
		return &InstanceModeError{fmt.Sprintf("the image has given keys to launches with instances: %s. Convert it again, as another image", i.Instances.Mode)}
	}
	has, err := exists(ctx, q, query{`SELECT 1 FROM instances WHERE image_id = $1 LIMIT 1`, []any{i.ID[:]}})
	if err == nil && has {
		err = &InstanceModeError{"the image has instances; deleted ones count until their share is destroyed"}
	}
	return err
}

// exists reports whether a query has a row.
func exists(ctx context.Context, q querier, ask query) (bool, error) {
	found, err := collect(ctx, q, ask, func(row scanner) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	})
	return len(found) > 0, err
}
