package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Replica is a running service that uses the database.
type Replica struct {
	ID            wire.UUID // of the process
	Name, Version string
	StartedAt     time.Time
	SeenAt        time.Time // set by SeeReplica
}

// replicaMemory is how long a replica is known that is not seen any more.
const replicaMemory = 24 * time.Hour

// SeeReplica notes that a replica runs, and forgets those that have not been seen
// for a day. The error wraps ErrInvalid.
func (s *Store) SeeReplica(ctx context.Context, r Replica) error {
	r.SeenAt = s.clock()
	err := checkName("name", r.Name)
	if err == nil {
		err = checkName("version", r.Version)
	}
	if err != nil {
		return fmt.Errorf("see replica: %w", err)
	}
	err = s.inTx(ctx, func(ctx context.Context, q querier) error {
		if _, err := q.ExecContext(ctx, `DELETE FROM replicas WHERE seen_at < $1`, micros(r.SeenAt.Add(-replicaMemory))); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, `INSERT INTO replicas (id, name, version, started_at, seen_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`, r.ID[:], r.Name, r.Version, micros(r.StartedAt), micros(r.SeenAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("see replica: %w", err)
	}
	return nil
}

// LeaveReplica forgets a replica that ends. It is no error when there is none.
func (s *Store) LeaveReplica(ctx context.Context, id wire.UUID) error {
	_, err := s.deleteMany(ctx, "replicas", query{`DELETE FROM replicas WHERE id = $1`, []any{id[:]}})
	return err
}

// ListReplicas returns the replicas that were seen within a day, the one that has
// run longest first.
func (s *Store) ListReplicas(ctx context.Context) ([]Replica, error) {
	var replicas []Replica
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		replicas, err = collect(ctx, q, query{
			text: `SELECT id, name, version, started_at, seen_at FROM replicas ORDER BY started_at, id`,
		}, func(row scanner) (Replica, error) {
			var r Replica
			err := row.Scan(exactly(r.ID[:]), &r.Name, &r.Version, instant{&r.StartedAt}, instant{&r.SeenAt})
			return r, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list replicas: %w", err)
	}
	return replicas, nil
}
