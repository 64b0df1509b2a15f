package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// UnlockCount is how many unlocks of one outcome and reason were recorded in an
// hour.
type UnlockCount struct {
	Hour            time.Time // its beginning, UTC
	Outcome, Reason string
	Records         int64
}

// UnlockCounts returns what was counted since a time, whole hours, oldest first.
// The counts are for charts: the chain does not cover them.
func (s *Store) UnlockCounts(ctx context.Context, since time.Time) ([]UnlockCount, error) {
	var counts []UnlockCount
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		counts, err = collect(ctx, q, query{
			`SELECT hour, outcome, reason, records FROM unlock_counts WHERE hour >= $1 ORDER BY hour, outcome, reason`, []any{hourOf(since)},
		}, func(row scanner) (UnlockCount, error) {
			var c UnlockCount
			var hour int64
			err := row.Scan(&hour, &c.Outcome, &c.Reason, &c.Records)
			c.Hour = time.Unix(hour*secondsPerHour, 0).UTC()
			return c, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	return counts, nil
}

const secondsPerHour = 3600

// hourOf numbers hours since 1970, as the table does.
func hourOf(t time.Time) int64 { return t.Unix() / secondsPerHour }

// countUnlocks adds records that were just appended to the counts.
func countUnlocks(ctx context.Context, q querier, entries []audit.Entry) error {
	for _, run := range runs(countRows(entries)) {
		var b builder
		b.add("INSERT INTO unlock_counts (hour, outcome, reason, records) VALUES ")
		b.rows(run)
		b.add(" ON CONFLICT (hour, outcome, reason) DO UPDATE SET records = unlock_counts.records + excluded.records")
		if _, err := q.ExecContext(ctx, b.text.String(), b.args...); err != nil {
			return fmt.Errorf("count unlocks: %w", err)
		}
	}
	return nil
}

// countRows counts unlocks, a row for each hour, outcome and reason. A record may
// stand for many.
func countRows(entries []audit.Entry) [][]any {
	type key struct {
		hour            int64
		outcome, reason string
	}
	counts := map[key]int64{}
	for _, e := range entries {
		if e.Kind == audit.KindUnlock {
			counts[key{hourOf(e.Time), e.Outcome, string(e.Reason)}] += max(1, e.Count)
		}
	}
	var rows [][]any
	for k, n := range counts {
		rows = append(rows, []any{k.hour, k.outcome, k.reason, n})
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(fmt.Sprint(a...), fmt.Sprint(b...)) })
	return rows
}
