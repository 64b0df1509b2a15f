package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// purgePage is how many instances are destroyed in one transaction: unlocks wait for it.
const purgePage = 200

// PurgeInstances destroys the shares of instances that were deleted UndoPeriod ago, with
// a record of each, and returns how many. A tombstone remains.
func (s *Store) PurgeInstances(ctx context.Context) (int64, error) {
	var all int64
	for {
		var gone []Instance
		err := s.inTx(ctx, func(ctx context.Context, q querier) (err error) {
			gone, err = s.purgeInstances(ctx, q)
			return err
		})
		if err != nil {
			return all, fmt.Errorf("destroy deleted instances: %w", err)
		}
		if all += int64(len(gone)); len(gone) < purgePage {
			return all, nil
		}
	}
}

func (s *Store) purgeInstances(ctx context.Context, q querier) ([]Instance, error) {
	before := micros(s.clock().Add(-UndoPeriod))
	if due, err := exists(ctx, q, query{`SELECT 1 FROM instances WHERE deleted_at > 0 AND deleted_at <= $1 LIMIT 1`, []any{before}}); err != nil || !due {
		return nil, err
	}
	at, err := s.lockEnd(ctx, q)
	if err != nil {
		return nil, err
	}
	gone, err := s.takeInstances(ctx, q, query{
		"id IN (SELECT id FROM instances WHERE deleted_at > 0 AND deleted_at <= $1 ORDER BY deleted_at, id LIMIT $2)", []any{before, purgePage},
	})
	if err != nil {
		return nil, err
	}
	records := make([]audit.Record, len(gone))
	for n, i := range gone {
		records[n] = audit.Record{
			Time: s.clock(), Kind: audit.KindAdmin, Outcome: audit.OutcomeDone, Reason: audit.ReasonInstanceDestroyed, Actor: wire.PartyService,
			ImageID: i.Image, InstanceID: i.ID, Details: map[string]string{"name": i.Name},
		}
	}
	_, err = s.appendRecords(ctx, q, at, records)
	return gone, err
}

// removeInstances destroys all instances of an image, which is locked.
func (s *Store) removeInstances(ctx context.Context, q querier, image wire.UUID) error {
	has, err := exists(ctx, q, query{`SELECT 1 FROM instances WHERE image_id = $1 LIMIT 1`, []any{image[:]}})
	if err != nil || !has {
		return err
	}
	if _, err := s.lockEnd(ctx, q); err != nil {
		return err
	}
	_, err = s.takeInstances(ctx, q, query{"image_id = $1", []any{image[:]}})
	return err
}

// takeInstances deletes instances for which a condition holds, and leaves tombstones.
func (s *Store) takeInstances(ctx context.Context, q querier, where query) ([]Instance, error) {
	gone, err := take(ctx, s, s.scanInstance, where)
	if err != nil {
		return nil, err
	}
	return gone, s.buryInstances(ctx, q, gone...)
}
