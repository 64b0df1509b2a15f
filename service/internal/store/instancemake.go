package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// ErrInstanceLimit means that as many instances of the image have made themselves as it
// allows.
var ErrInstanceLimit = errors.New("image has as many instances that were made by their first launch as it allows")

// CreateInstance makes an instance of an image, enabled and new, from its ID, Image,
// Name, ShareSealed and CreatedBy, and returns it as it is kept. The name of a deleted
// instance is taken until its share is destroyed. The error is an *InstanceModeError, or
// wraps ErrInvalid, ErrNotFound (the image), ErrNameTaken, ErrExists (the ID) or
// ErrDeleted (the ID was an instance's that is gone).
//
// Like all changes of instances it locks the end of the log before the instance: in the
// transaction of ctx, locks on anything else have to come first.
func (s *Store) CreateInstance(ctx context.Context, i Instance) (Instance, error) {
	made := s.fresh(i)
	if err := made.validate(); err != nil {
		return Instance{}, fmt.Errorf("create instance: %w", err)
	}
	err := s.inTx(ctx, func(ctx context.Context, q querier) error {
		image, err := s.lockImage(ctx, q, i.Image)
		if err != nil {
			return err
		}
		if image.Instances.Mode == wire.InstancesNone {
			return &InstanceModeError{"the image has no instances: its setting is none"}
		}
		_, err = s.insertInstance(ctx, q, &made)
		return err
	})
	if err != nil {
		return Instance{}, fmt.Errorf("create instance: %w", err)
	}
	return made, nil
}

// fresh returns what is new of an instance.
func (s *Store) fresh(i Instance) Instance {
	return Instance{
		ID: i.ID, Image: i.Image, Name: i.Name, Enabled: true, CreatedAt: s.clock(), CreatedBy: i.CreatedBy,
		State: wire.StateNew, ShareSealed: i.ShareSealed,
	}
}

// insertInstance adds an instance, of an image that is locked, and returns the end of
// the log, locked too. The error wraps ErrNameTaken, ErrExists or ErrDeleted.
func (s *Store) insertInstance(ctx context.Context, q querier, i *Instance) (end, error) {
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return end{}, err
	}
	there, err := exists(ctx, q, query{`SELECT 1 FROM instances WHERE id = $1`, []any{i.ID[:]}})
	if err == nil && there {
		err = ErrExists
	}
	if err != nil {
		return end{}, err
	}
	if err := s.checkBuried(ctx, q, query{"instance_id = $1", []any{i.ID[:]}}); err != nil {
		return end{}, err
	}
	inserted, err := s.insert(ctx, q, i)
	if err == nil && !inserted {
		err = ErrNameTaken
	}
	return at, err
}

// EnsureInstance returns the instance of an ID, whatever its image, or makes one of the
// image, see CreateInstance, when the image's mode is auto and its limit allows; deleted
// instances do not count against it. It is named after the ID: auto- and the first 8
// digits, or all of them if that is taken. A record is written when one is made, of
// KindGuest. The error is an *InstanceModeError, or wraps ErrInvalid, ErrNotFound (the
// image), ErrNameTaken, ErrDeleted (the ID was an instance's that is gone) or
// ErrInstanceLimit.
func (s *Store) EnsureInstance(ctx context.Context, i Instance, record audit.Record) (Instance, error) {
	there, err := s.InstanceByID(ctx, i.ID)
	if !errors.Is(err, ErrNotFound) {
		return there, err
	}
	err = s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
		there, err = s.makeAuto(ctx, q, s.fresh(i), record)
		return err
	})
	switch {
	case errors.Is(err, ErrExists): // a launch of another image was faster
		return s.InstanceByID(ctx, i.ID)
	case err != nil:
		return Instance{}, fmt.Errorf("make instance: %w", err)
	}
	return there, nil
}

func (s *Store) makeAuto(ctx context.Context, q querier, i Instance, record audit.Record) (Instance, error) {
	image, err := s.lockImage(ctx, q, i.Image)
	if err != nil {
		return Instance{}, err
	}
	if there, err := s.instance(ctx, query{"id = $1", []any{i.ID[:]}}); !errors.Is(err, ErrNotFound) {
		return there, err // another launch was faster
	}
	if err := s.checkAuto(ctx, q, &image); err != nil {
		return Instance{}, err
	}
	i.Auto = true
	digits := hex.EncodeToString(i.ID[:])
	i.Name = "auto-" + digits[:8]
	if err := i.validate(); err != nil {
		return Instance{}, err
	}
	at, err := s.insertInstance(ctx, q, &i)
	if errors.Is(err, ErrNameTaken) {
		i.Name = "auto-" + digits
		at, err = s.insertInstance(ctx, q, &i)
	}
	if err != nil {
		return Instance{}, err
	}
	record.Kind, record.Outcome, record.Time = audit.KindGuest, audit.OutcomeDone, s.clock()
	record.ImageID, record.InstanceID = i.Image, i.ID
	if record, err = record.Checked(); err != nil {
		return Instance{}, err
	}
	_, err = s.appendRecords(ctx, q, at, []audit.Record{record})
	return i, err
}

// checkAuto fails when an image, which is locked, does not make instances by itself, or
// not one more.
func (s *Store) checkAuto(ctx context.Context, q querier, image *Image) error {
	if image.Instances.Mode != wire.InstancesAuto {
		return &InstanceModeError{fmt.Sprintf("the image makes no instances by itself: its setting is %s", image.Instances.Mode)}
	}
	var made int64
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM instances WHERE image_id = $1 AND auto AND deleted_at = 0`, image.ID[:]).Scan(&made)
	if err == nil && made >= image.Instances.Limit {
		err = ErrInstanceLimit
	}
	return err
}

// InstanceByID returns an instance; a deleted one, too, until its share is destroyed.
// The error wraps ErrNotFound.
func (s *Store) InstanceByID(ctx context.Context, id wire.UUID) (Instance, error) {
	return s.instance(ctx, query{"id = $1", []any{id[:]}})
}

// InstanceByName returns an instance; a deleted one, too, until its share is destroyed.
// The error wraps ErrNotFound.
func (s *Store) InstanceByName(ctx context.Context, name string) (Instance, error) {
	if wire.CheckInstanceName(name) != nil {
		return Instance{}, fmt.Errorf("instance: %w", ErrNotFound)
	}
	return s.instance(ctx, query{"name = $1", []any{name}})
}

func (s *Store) instance(ctx context.Context, where query) (Instance, error) {
	var found []Instance
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		found, err = collect(ctx, q, query{`SELECT ` + instanceColumns + `, mac, recovery FROM instances WHERE ` + where.text, where.args}, s.scanWhole)
		return err
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Instance{}, fmt.Errorf("instance: %w", err)
	}
	return found[0], nil
}
