package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// SetInstanceEnabled lets the boots of an instance have their keys, or no longer. The
// error wraps ErrNotFound, or ErrChanged when it is deleted.
func (s *Store) SetInstanceEnabled(ctx context.Context, id wire.UUID, enabled bool) error {
	return s.changeInstance(ctx, "change", id, func(_ context.Context, _ querier, i *Instance) error {
		i.Enabled = enabled
		return nil
	})
}

// ResetInstance makes an instance new, with another share: its next launch is its first,
// from the golden disk, and nothing opens the disk that it has. What it was claimed by
// does not come back. The error wraps ErrInvalid, ErrNotFound, or ErrChanged when it is
// deleted.
func (s *Store) ResetInstance(ctx context.Context, id wire.UUID, shareSealed []byte) error {
	if err := checkBytes("sealed share", shareSealed); err != nil {
		return fmt.Errorf("reset instance: %w", err)
	}
	return s.changeInstance(ctx, "reset", id, func(ctx context.Context, q querier, i *Instance) error {
		if i.State != wire.StateNew {
			if err := s.buryInstances(ctx, q, *i); err != nil {
				return err
			}
		}
		*i = Instance{
			ID: i.ID, Image: i.Image, Name: i.Name, Enabled: i.Enabled, Auto: i.Auto, CreatedAt: i.CreatedAt, CreatedBy: i.CreatedBy,
			State: wire.StateNew, ShareSealed: shareSealed,
		}
		return nil
	})
}

// AdoptInstance makes a new instance claimed by a hash that the caller has seen a receipt
// of: a database that was restored has forgotten the claim. The error wraps ErrInvalid,
// ErrNotFound, ErrChanged (it is not new, or deleted) or ErrDeleted (an instance that was
// reset or is gone had this hash).
func (s *Store) AdoptInstance(ctx context.Context, id wire.UUID, sealed [32]byte) error {
	return s.changeInstance(ctx, "adopt", id, func(ctx context.Context, q querier, i *Instance) error {
		if i.State != wire.StateNew {
			return fmt.Errorf("%w: it is %s", ErrChanged, i.State)
		}
		i.State, i.Sealed = wire.StateClaimed, sealed
		return s.checkNotBuried(ctx, q, sealed)
	})
}

// AllowRestore lets one boot of a ready instance show an older generation, within
// RestorePeriod. The error wraps ErrNotFound, ErrChanged (it is not ready, or deleted) or
// ErrInvalid (the generation is not an older one).
func (s *Store) AllowRestore(ctx context.Context, id wire.UUID, generation uint64) error {
	return s.changeInstance(ctx, "restore", id, func(_ context.Context, _ querier, i *Instance) error {
		switch {
		case i.State != wire.StateReady:
			return fmt.Errorf("%w: it is %s, not ready", ErrChanged, i.State)
		case generation == 0 || generation >= i.Generation:
			return invalidf("generation %d, want 1 to %d", generation, i.Generation-1)
		}
		i.Restore, i.RestoreUntil = generation, s.clock().Add(RestorePeriod)
		return nil
	})
}

// DeleteInstance deletes an instance: nothing gives it keys any more, and it can be had
// back for UndoPeriod. Then PurgeInstances destroys its share, and with it what its disk
// holds. The error wraps ErrNotFound, or ErrChanged when it is deleted already.
func (s *Store) DeleteInstance(ctx context.Context, id wire.UUID) error {
	return s.changeInstance(ctx, "delete", id, func(_ context.Context, _ querier, i *Instance) error {
		i.DeletedAt = s.clock()
		return nil
	})
}

// UndeleteInstance takes the deletion of an instance back, whether it is enabled stays as
// it was. The error wraps ErrNotFound, or ErrChanged when it is not deleted, or was for
// UndoPeriod already.
func (s *Store) UndeleteInstance(ctx context.Context, id wire.UUID) error {
	return s.editInstance(ctx, "undelete", id, func(_ context.Context, _ querier, i *Instance) error {
		switch {
		case i.DeletedAt.IsZero():
			return fmt.Errorf("%w: it is not deleted", ErrChanged)
		case !s.clock().Before(i.DeletedAt.Add(UndoPeriod)):
			return fmt.Errorf("%w: it was deleted %s ago", ErrChanged, UndoPeriod)
		}
		i.DeletedAt = time.Time{}
		return nil
	})
}

// edit changes an instance.
type edit func(ctx context.Context, q querier, i *Instance) error

// changeInstance changes an instance that is not deleted. The error is the change's, or
// wraps ErrNotFound or ErrChanged.
func (s *Store) changeInstance(ctx context.Context, what string, id wire.UUID, change edit) error {
	return s.editInstance(ctx, what, id, func(ctx context.Context, q querier, i *Instance) error {
		if !i.DeletedAt.IsZero() {
			return fmt.Errorf("%w: it is deleted", ErrChanged)
		}
		return change(ctx, q, i)
	})
}

// editInstance changes an instance. Whoever changes one has locked the end of the log
// before: so have unlocks, and nobody waits for the other with a row in hand. The error
// is the change's, or wraps ErrNotFound.
func (s *Store) editInstance(ctx context.Context, what string, id wire.UUID, change edit) error {
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := s.lockEnd(ctx, q); err != nil {
			return err
		}
		old, err := s.instance(ctx, query{"id = $1", []any{id[:]}})
		if err != nil {
			return err
		}
		changed := old
		if err := change(ctx, q, &changed); err != nil {
			return err
		}
		return s.updateInstance(ctx, q, &old, &changed)
	})
	if err != nil {
		return fmt.Errorf("%s instance: %w", what, err)
	}
	return nil
}
