package store

import (
	"context"
	"maps"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func checkLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return invalidf("%d labels, want at most %d", len(labels), MaxLabels)
	}
	for label, content := range labels {
		if err := checkName("label", label); err != nil {
			return err
		}
		if err := checkText("label "+label, content, MaxLabel); err != nil {
			return err
		}
	}
	return nil
}

func insertLabels(ctx context.Context, q querier, image wire.UUID, labels map[string]string) error {
	var rows [][]any
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		rows = append(rows, []any{image[:], label, labels[label]})
	}
	for _, run := range runs(rows) {
		var b builder
		b.add("INSERT INTO image_labels (image_id, label, content) VALUES ")
		b.rows(run)
		if _, err := q.ExecContext(ctx, b.text.String(), b.args...); err != nil {
			return err
		}
	}
	return nil
}

// loadLabels completes images. Those without labels get an empty map.
func loadLabels(ctx context.Context, q querier, images []Image) error {
	byID := make(map[wire.UUID]map[string]string, len(images))
	var ids []any
	for i := range images {
		images[i].Labels = map[string]string{}
		byID[images[i].ID] = images[i].Labels
		ids = append(ids, images[i].ID[:])
	}
	for _, run := range runs(ids) {
		var b builder
		b.add("SELECT image_id, label, content FROM image_labels WHERE image_id IN ")
		b.list(run)
		_, err := collect(ctx, q, b.query(), func(row scanner) (struct{}, error) {
			var id wire.UUID
			var label, content string
			if err := row.Scan(exactly(id[:]), &label, &content); err != nil {
				return struct{}{}, err
			}
			byID[id][label] = content
			return struct{}{}, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
