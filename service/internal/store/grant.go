package store

import (
	"context"
	"fmt"
)

// findGrants returns which of the launches that ask have been given their keys.
func findGrants(ctx context.Context, q querier, unlocks []UnlockRecord) (map[[32]byte]holding, error) {
	var ids []any
	for _, u := range unlocks {
		if u.Grant != nil {
			ids = append(ids, u.Grant.ReportID[:])
		}
	}
	held := map[[32]byte]holding{}
	for _, run := range runs(ids) {
		var b builder
		b.add("SELECT report_id, key_hash, release_id, image_id, seq FROM grants WHERE report_id IN ")
		b.list(run)
		found, err := collect(ctx, q, b.query(), func(row scanner) (h holding, err error) {
			err = row.Scan(exactly(h.ReportID[:]), exactly(h.KeyHash[:]), exactly(h.ReleaseID[:]), exactly(h.ImageID[:]), &h.seq)
			return h, err
		})
		if err != nil {
			return nil, fmt.Errorf("look for grants: %w", err)
		}
		for _, h := range found {
			held[h.ReportID] = h
		}
	}
	return held, nil
}

func insertGrants(ctx context.Context, q querier, granted []holding) error {
	var rows [][]any
	for _, h := range granted {
		rows = append(rows, []any{h.ReportID[:], h.KeyHash[:], h.ReleaseID[:], h.ImageID[:], micros(h.at), h.seq})
	}
	for _, run := range runs(rows) {
		var b builder
		b.add("INSERT INTO grants (report_id, key_hash, release_id, image_id, granted_at, seq) VALUES ")
		b.rows(run)
		if _, err := q.ExecContext(ctx, b.text.String(), b.args...); err != nil {
			return fmt.Errorf("keep grants: %w", err)
		}
	}
	return nil
}
