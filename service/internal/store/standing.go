package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Reasons for a denial of what an operator changed after the service had decided.
const (
	ReasonLaunchUnknown   = "launch_unknown"   // image or release were deleted
	ReasonImageDisabled   = "image_disabled"   //
	ReasonReleaseDisabled = "release_disabled" //
	ReasonPolicyChanged   = "policy_changed"   // the report was held against an older image or release
)

// standing is what an operator may change of a release at any time.
type standing struct {
	seen           Seen
	image, release bool // enabled
}

// findStandings returns how the releases stand whose keys are asked for. The head
// of the log is locked: every change is written under that lock too, so what was
// recorded before this grant is seen here, and the rest comes after it.
func findStandings(ctx context.Context, q querier, unlocks []UnlockRecord) (map[wire.UUID]standing, error) {
	var ids []any
	asked := map[wire.UUID]bool{}
	for _, u := range unlocks {
		if u.Grant != nil && !asked[u.Grant.ReleaseID] {
			asked[u.Grant.ReleaseID] = true
			ids = append(ids, u.Grant.ReleaseID[:])
		}
	}
	standings := map[wire.UUID]standing{}
	for _, run := range runs(ids) {
		var b builder
		b.add(`SELECT releases.id, images.mac, releases.mac, images.enabled, releases.enabled
			FROM releases JOIN images ON images.id = releases.image_id WHERE releases.id IN `)
		b.list(run)
		_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) {
			var id wire.UUID
			var s standing
			err := row.Scan(exactly(id[:]), exactly(s.seen.image[:]), exactly(s.seen.release[:]), &s.image, &s.release)
			standings[id] = s
			return struct{}{}, err
		})
		if err != nil {
			return nil, fmt.Errorf("look for releases: %w", err)
		}
	}
	return standings, nil
}

// withdrawn returns why a release may not be granted as it was decided, or "". Rows
// that still have their MACs are those that the decision rests on, whatever else
// somebody wrote into them; the other columns only tell the reason.
func (b *batch) withdrawn(u *UnlockRecord) (reason string, texts Denial) {
	s, found := b.standings[u.Grant.ReleaseID]
	switch {
	case !found:
		return ReasonLaunchUnknown, Denial{"image_id", "a registered release", "release " + u.Grant.ReleaseID.String() + ", deleted meanwhile"}
	case s.seen == u.Seen:
		return "", Denial{}
	case !s.image:
		return ReasonImageDisabled, Denial{"enabled", "an enabled image", "disabled meanwhile"}
	case !s.release:
		return ReasonReleaseDisabled, Denial{"enabled", "an enabled release", "disabled meanwhile"}
	}
	return ReasonPolicyChanged, Denial{"policy_revision", "image and release as they were looked up", "changed meanwhile"}
}
