package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Counts are how many of each the database has.
type Counts struct{ Images, Releases, Tokens, AuditRecords int64 }

// Count counts.
func (s *Store) Count(ctx context.Context) (Counts, error) {
	var c Counts
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM images), (SELECT COUNT(*) FROM releases),
			(SELECT COUNT(*) FROM tokens), (SELECT seq FROM audit_head WHERE id = 1)`).
			Scan(&c.Images, &c.Releases, &c.Tokens, &c.AuditRecords)
	})
	if err != nil {
		return Counts{}, fmt.Errorf("count: %w", err)
	}
	return c, nil
}

// Stats are figures of this process. They cost nothing to read.
type Stats struct {
	Write, Read sql.DBStats // pools; the same on PostgreSQL

	Waiting  int   // records that wait to be written
	Batches  int64 // transactions that wrote records
	Records  int64 // records that were written
	Failures int64 // records that could not be written
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	batches, records, failures := s.committer.Written()
	return Stats{
		Write: s.write.Stats(), Read: s.read.Stats(),
		Waiting: s.committer.Waiting(), Batches: batches, Records: records, Failures: failures,
	}
}
