package store

import (
	"context"
	"fmt"
)

// findGrants returns which of the launches that ask have been given their keys.
func findGrants(ctx context.Context, q querier, unlocks []Unlock) (map[[32]byte]Grant, error) {
	var ids []any
	for _, u := range unlocks {
		if u.Claim != nil {
			ids = append(ids, u.Claim.ReportID[:])
		}
	}
	held := map[[32]byte]Grant{}
	for _, run := range runs(ids) {
		var b builder
		b.add("SELECT report_id, key_hash, release_id, image_id, seq FROM grants WHERE report_id IN ")
		b.list(run)
		found, err := collect(ctx, q, b.query(), func(row scanner) (h Grant, err error) {
			err = row.Scan(exactly(h.ReportID[:]), exactly(h.KeyHash[:]), exactly(h.ReleaseID[:]), exactly(h.ImageID[:]), &h.Seq)
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

func insertGrants(ctx context.Context, q querier, granted []Grant) error {
	var rows [][]any
	for _, h := range granted {
		rows = append(rows, []any{h.ReportID[:], h.KeyHash[:], h.ReleaseID[:], h.ImageID[:], micros(h.at), h.Seq})
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
