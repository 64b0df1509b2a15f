package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

// chipOf returns the chip ID of a VCEK, nil for other entries.
func chipOf(key kds.Key) []byte {
	if key.Kind != kds.KindVCEK {
		return nil
	}
	return key.ChipID[:]
}

// Seen reports whether the chip of a VCEK was seen before: the cache has a
// certificate of it at some TCB version, or a guest on it was granted its key.
func (c *KDSCache) Seen(ctx context.Context, key kds.Key) (bool, error) {
	var seen bool
	err := c.store.view(ctx, func(ctx context.Context, q querier) error {
		return q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM kds_cache WHERE chip_id = $1)
			OR EXISTS (SELECT 1 FROM audit WHERE chip_id = $1 AND outcome = 'granted')`, chipOf(key)).Scan(&seen)
	})
	if err != nil {
		return false, fmt.Errorf("look for chip: %w", err)
	}
	return seen, nil
}
