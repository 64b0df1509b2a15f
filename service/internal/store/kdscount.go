package store

import (
	"context"
	"fmt"
	"time"
)

// KDSCounts are how many entries a KDSCache has.
type KDSCounts struct {
	VCEKs, Chains, CRLs int64
	Newest              time.Time // when the last one was fetched; zero: there are none
}

// Counts counts the entries, without reading them.
func (c *KDSCache) Counts(ctx context.Context) (KDSCounts, error) {
	var counts KDSCounts
	err := c.store.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT
			COUNT(CASE WHEN name LIKE 'vcek-%' THEN 1 END), COUNT(CASE WHEN name LIKE 'chain-%' THEN 1 END),
			COUNT(CASE WHEN name LIKE 'crl-%' THEN 1 END), COALESCE(MAX(fetched_at), 0) FROM kds_cache`).
			Scan(&counts.VCEKs, &counts.Chains, &counts.CRLs, instant{&counts.Newest})
	})
	if err != nil {
		return KDSCounts{}, fmt.Errorf("count cache: %w", err)
	}
	return counts, nil
}
