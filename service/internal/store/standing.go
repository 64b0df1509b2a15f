package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// findStandings returns how the releases stand whose keys are asked for. The head
// of the log is locked: every change is written under that lock too, so what was
// recorded before this grant is seen here, and the rest comes after it.
func findStandings(ctx context.Context, q querier, unlocks []Unlock) (map[wire.UUID]Standing, error) {
	var ids []any
	asked := map[wire.UUID]bool{}
	for _, u := range unlocks {
		if u.Claim != nil && !asked[u.Claim.ReleaseID] {
			asked[u.Claim.ReleaseID] = true
			ids = append(ids, u.Claim.ReleaseID[:])
		}
	}
	standings := map[wire.UUID]Standing{}
	for _, run := range runs(ids) {
		var b builder
		b.add(`SELECT releases.id, images.mac, releases.mac, images.enabled, releases.state
			FROM releases JOIN images ON images.id = releases.image_id WHERE releases.id IN `)
		b.list(run)
		_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) {
			var id wire.UUID
			var s Standing
			err := row.Scan(exactly(id[:]), exactly(s.Seen.image[:]), exactly(s.Seen.release[:]), &s.ImageEnabled, (*string)(&s.ReleaseState))
			standings[id] = s
			return struct{}{}, err
		})
		if err != nil {
			return nil, fmt.Errorf("look for releases: %w", err)
		}
	}
	return standings, nil
}
