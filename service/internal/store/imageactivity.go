package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// ImageActivity is what a list of images tells of each.
type ImageActivity struct {
	Releases  int64
	GrantedAt time.Time // the last unlock; zero: none
	DeniedAt  time.Time // the last denial; zero: none
}

// lastOf finds the last record of an image with an outcome. That it asks for a range
// of outcomes and their order makes databases read the one index that has them all,
// and not all records of the image.
const lastOf = `COALESCE((SELECT recorded_at FROM audit WHERE image_id = images.id AND outcome >= ? AND outcome <= ?
	ORDER BY outcome DESC, seq DESC LIMIT 1), 0)`

// ImageActivity returns what is known of each image that exists, MaxPage of them
// at most. The error wraps ErrInvalid.
func (s *Store) ImageActivity(ctx context.Context, images []Image) (map[wire.UUID]ImageActivity, error) {
	if len(images) > MaxPage {
		return nil, fmt.Errorf("image activity: %w", invalidf("%d images, at most %d are taken", len(images), MaxPage))
	}
	all := make(map[wire.UUID]ImageActivity, len(images))
	var ids []any
	for i := range images {
		ids = append(ids, images[i].ID[:])
	}
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		for _, run := range runs(ids) {
			var b builder
			b.add(`SELECT id, (SELECT COUNT(*) FROM releases WHERE image_id = images.id), `+lastOf+`, `+lastOf+` FROM images WHERE id IN `,
				audit.OutcomeGranted, audit.OutcomeGranted, audit.OutcomeDenied, audit.OutcomeDenied)
			b.list(run)
			_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) {
				var id wire.UUID
				var a ImageActivity
				err := row.Scan(exactly(id[:]), &a.Releases, instant{&a.GrantedAt}, instant{&a.DeniedAt})
				all[id] = a
				return struct{}{}, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("image activity: %w", err)
	}
	return all, nil
}
