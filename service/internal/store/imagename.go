package store

import (
	"context"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// ImageOfKind returns the name of an image that was registered while a simulated AMD
// was trusted, or while AMD was. The error wraps ErrNotFound.
func (s *Store) ImageOfKind(ctx context.Context, simulated bool) (string, error) {
	image, err := s.image(ctx, query{`SELECT ` + imageColumns + `, mac FROM images WHERE simulated = $1 LIMIT 1`, []any{simulated}})
	return image.Name, err
}

// ImageNames returns the names of those images that exist.
func (s *Store) ImageNames(ctx context.Context, images []wire.UUID) (map[wire.UUID]string, error) {
	names := make(map[wire.UUID]string, len(images))
	var ids []any
	for i := range images {
		ids = append(ids, images[i][:])
	}
	err := s.view(ctx, func(ctx context.Context, q querier) error {
		for _, run := range runs(ids) {
			var b builder
			b.add(`SELECT id, name FROM images WHERE id IN `)
			b.list(run)
			_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) {
				var id wire.UUID
				var name string
				err := row.Scan(exactly(id[:]), &name)
				names[id] = name
				return struct{}{}, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("image names: %w", err)
	}
	return names, nil
}
