package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// UsePeriod is how far back ReleaseUse.Launches counts.
const UsePeriod = 30 * 24 * time.Hour

// ReleaseUse is whom a release is needed by, as far as grants and running guests tell.
type ReleaseUse struct {
	GrantedAt time.Time // the last launch that was given its key; zero: none
	Launches  int64     // that were given their key within UsePeriod
	Machines  int64     // that ran it when they were last seen, however long ago
	Instances int64     // enabled ones that were launched from it last, however long ago
}

// ReleaseUse returns how much a release is used.
func (s *Store) ReleaseUse(ctx context.Context, id wire.UUID) (use ReleaseUse, err error) {
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		use, err = s.releaseUse(ctx, q, id)
		return err
	})
	if err != nil {
		return ReleaseUse{}, fmt.Errorf("use of release: %w", err)
	}
	return use, nil
}

func (s *Store) releaseUse(ctx context.Context, q querier, id wire.UUID) (use ReleaseUse, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(granted_at), 0), COALESCE(SUM(CASE WHEN granted_at > $1 THEN 1 ELSE 0 END), 0),
		(SELECT COUNT(*) FROM machines WHERE release_id = $2),
		(SELECT COUNT(*) FROM instances WHERE granted_release = $2 AND enabled AND deleted_at = 0) FROM grants WHERE release_id = $2`, micros(s.clock().Add(-UsePeriod)), id[:]).
		Scan(instant{&use.GrantedAt}, &use.Launches, &use.Machines, &use.Instances)
	return use, err
}

// StaleRelease is a release that is to retire by itself.
type StaleRelease struct{ Image, Release wire.UUID }

// StaleReleases returns the releases beyond those that their images keep, see
// Image.KeepReleases.
func (s *Store) StaleReleases(ctx context.Context) (stale []StaleRelease, err error) {
	err = s.view(ctx, func(ctx context.Context, q querier) error {
		images, err := collect(ctx, q, query{text: `SELECT ` + imageColumns + `, mac FROM images WHERE keep_releases > 0`}, s.scanImage)
		if err != nil {
			return err
		}
		for i := range images {
			found, err := s.staleOf(ctx, q, &images[i])
			if err != nil {
				return err
			}
			stale = append(stale, found...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("stale releases: %w", err)
	}
	return stale, nil
}

// staleOf returns the approved releases of an image that are older than those that it
// keeps, that no launch has needed for UsePeriod, that no machine ran when it was last
// seen, and from which no enabled instance was launched last. A release counts as kept
// once it has been launched: one that nobody has booted yet replaces none. The image's
// first release is never stale.
func (s *Store) staleOf(ctx context.Context, q querier, image *Image) (stale []StaleRelease, err error) {
	releases, err := collect(ctx, q, query{
		`SELECT ` + releaseColumns + `, mac FROM releases WHERE image_id = $1 ORDER BY created_at DESC, id DESC`, []any{image.ID[:]},
	}, s.scanRelease)
	if err != nil || len(releases) == 0 {
		return nil, err
	}
	kept := int64(0)
	for _, r := range releases[:len(releases)-1] {
		if r.State != wire.StateApproved {
			continue
		}
		use, err := s.releaseUse(ctx, q, r.ID)
		switch {
		case err != nil:
			return nil, err
		case kept >= image.KeepReleases && use.Launches == 0 && use.Machines == 0 && use.Instances == 0 && s.clock().Sub(r.ApprovedAt) > UsePeriod && s.clock().Sub(r.DecidedAt) > UsePeriod:
			stale = append(stale, StaleRelease{image.ID, r.ID})
		case !use.GrantedAt.IsZero():
			kept++
		}
	}
	return stale, nil
}

// RetireStale is RetireRelease for a release that still is to retire by itself. The
// error is that of RetireRelease, or wraps ErrChanged when it is not.
func (s *Store) RetireStale(ctx context.Context, r StaleRelease, v Verdict) error {
	return s.inTx(ctx, func(ctx context.Context, q querier) error {
		image, err := s.lockImage(ctx, q, r.Image)
		if err != nil {
			return err
		}
		stale, err := s.staleOf(ctx, q, &image)
		if err != nil {
			return err
		}
		for _, still := range stale {
			if still == r {
				return s.RetireRelease(ctx, r.Release, v)
			}
		}
		return ErrChanged
	})
}
