package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// tombstone is what is left of an image that was deleted: were its ID or its
// unsealing key registered again, old disks would open under new rules.
type tombstone struct {
	image            wire.UUID
	unsealingKeyHash [32]byte
	name             string
	deletedAt        time.Time
}

const tombstoneColumns = `image_id, unsealing_key_hash, name, deleted_at`

func (t *tombstone) table() table {
	return table{name: "tombstones", columns: tombstoneColumns, summed: true}
}

func (t *tombstone) values() []any {
	return []any{t.image[:], t.unsealingKeyHash[:], t.name, micros(t.deletedAt)}
}

func (s *Store) scanTombstone(row scanner) (tombstone, error) {
	var t tombstone
	var mac []byte
	err := row.Scan(exactly(t.image[:]), exactly(t.unsealingKeyHash[:]), &t.name, instant{&t.deletedAt}, &mac)
	if err == nil {
		err = s.genuine(&t, mac)
	}
	return t, err
}

// bury leaves a tombstone for an image that is being deleted.
func (s *Store) bury(ctx context.Context, q querier, i *Image) error {
	inserted, err := s.insert(ctx, q, &tombstone{i.ID, i.UnsealingKeyHash, i.Name, s.clock()})
	if err == nil && !inserted {
		err = fmt.Errorf("%w: image %s has a tombstone already", ErrCorrupt, i.ID)
	}
	return err
}

// CheckTombstones fails when an image of this ID, or with an unsealing key of this
// hash, was deleted. The error wraps ErrDeleted.
func (s *Store) CheckTombstones(ctx context.Context, image wire.UUID, unsealingKeyHash [32]byte) error {
	return s.view(ctx, func(ctx context.Context, q querier) error {
		return s.checkTombstones(ctx, q, image, unsealingKeyHash)
	})
}

func (s *Store) checkTombstones(ctx context.Context, q querier, image wire.UUID, unsealingKeyHash [32]byte) error {
	found, err := collect(ctx, q, query{
		`SELECT ` + tombstoneColumns + `, mac FROM tombstones WHERE image_id = $1 OR unsealing_key_hash = $2`, []any{image[:], unsealingKeyHash[:]},
	}, s.scanTombstone)
	if err != nil || len(found) == 0 {
		return err
	}
	t := found[0]
	return fmt.Errorf("image %s, %q until %s: %w", t.image, t.name, t.deletedAt.Format(time.RFC3339), ErrDeleted)
}
