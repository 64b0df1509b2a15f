package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ReasonLaunchLimit means that so many launches of the image have had their key that no more
// of them do for a while.
const ReasonLaunchLimit = "launch_limit"

// countLaunches returns how many launches were given their key within the periods of
// those images that have a limit and are asked for.
func countLaunches(ctx context.Context, q querier, unlocks []UnlockRecord, now time.Time) (map[wire.UUID]int64, error) {
	launches := map[wire.UUID]int64{}
	for i := range unlocks {
		u := &unlocks[i]
		if u.Grant == nil || u.Limit.None() {
			continue
		}
		image := u.Grant.ImageID
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

// exhausted reports whether no further launch of an image may have its key now.
func (b *batch) exhausted(u *UnlockRecord) bool {
	return !u.Limit.None() && b.launches[u.Grant.ImageID] >= u.Limit.Max
}
