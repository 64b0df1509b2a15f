package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// countLaunches returns how many launches were given their key within the periods of
// those images that have a limit and are asked for.
func countLaunches(ctx context.Context, q querier, unlocks []Unlock, now time.Time) (map[wire.UUID]int64, error) {
	launches := map[wire.UUID]int64{}
	for i := range unlocks {
		u := &unlocks[i]
		if u.Claim == nil || u.Limit.None() {
			continue
		}
		image := u.Claim.ImageID
		if _, counted := launches[image]; counted {
			continue
		}
		var n int64
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM grants WHERE image_id = $1 AND granted_at > $2`,
			image[:], micros(now.Add(-u.Limit.Period))).Scan(&n); err != nil {
			return nil, fmt.Errorf("count launches: %w", err)
		}
		launches[image] = n
	}
	return launches, nil
}
