package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// instanceTombstone is what is left of an instance that is gone, and of a claim that a
// reset has ended: neither the ID nor the hash comes back.
type instanceTombstone struct {
	id        wire.UUID
	instance  wire.UUID
	image     wire.UUID
	sealed    [32]byte // zeros: it was never claimed
	deletedAt time.Time
}

const instanceTombstoneColumns = `id, instance_id, image_id, sealed, deleted_at`

func (t *instanceTombstone) table() table {
	return table{name: "instance_tombstones", columns: instanceTombstoneColumns, summed: true}
}

func (t *instanceTombstone) values() []any {
	return []any{t.id[:], t.instance[:], t.image[:], t.sealed[:], micros(t.deletedAt)}
}

func (s *Store) scanInstanceTombstone(row scanner) (instanceTombstone, error) {
	var t instanceTombstone
	var mac []byte
	err := row.Scan(exactly(t.id[:]), exactly(t.instance[:]), exactly(t.image[:]), exactly(t.sealed[:]), instant{&t.deletedAt}, &mac)
	if err == nil {
		err = s.genuine(&t, mac)
	}
	return t, err
}

// buryInstances leaves tombstones of what instances were claimed by, and of their IDs.
func (s *Store) buryInstances(ctx context.Context, q querier, instances ...Instance) error {
	rows := make([][]any, len(instances))
	for n := range instances {
		i := &instances[n]
		t := &instanceTombstone{wire.NewUUID(), i.ID, i.Image, i.Sealed, s.clock()}
		mac, err := s.rowKey.mac(t.table().name, t.values()...)
		if err != nil {
			return err
		}
		rows[n] = append(t.values(), mac[:])
		if err := s.noteChange(ctx, nil, t); err != nil {
			return err
		}
	}
	for _, run := range runs(rows) {
		var b builder
		b.add("INSERT INTO instance_tombstones (" + instanceTombstoneColumns + ", mac) VALUES ")
		b.rows(run)
		_, err := q.ExecContext(ctx, b.text.String(), b.args...)
		if isUnique(err) {
			err = errors.Join(fmt.Errorf("%w: an instance has a tombstone already", ErrCorrupt), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkBuried fails when there is a tombstone for which a condition holds. The error
// wraps ErrDeleted.
func (s *Store) checkBuried(ctx context.Context, q querier, where query) error {
	found, err := collect(ctx, q, query{
		`SELECT ` + instanceTombstoneColumns + `, mac FROM instance_tombstones WHERE ` + where.text + ` LIMIT 1`, where.args,
	}, s.scanInstanceTombstone)
	if err != nil || len(found) == 0 {
		return err
	}
	t := found[0]
	return fmt.Errorf("instance %s of image %s, reset or deleted at %s: %w", t.instance, t.image, t.deletedAt.Format(time.RFC3339), ErrDeleted)
}

// checkNotBuried fails when an instance was claimed by this hash before it was reset or
// deleted. The error wraps ErrDeleted.
func (s *Store) checkNotBuried(ctx context.Context, q querier, sealed [32]byte) error {
	return s.checkBuried(ctx, q, query{"sealed = $1", []any{sealed[:]}})
}
