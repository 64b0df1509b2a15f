package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/ratio"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// How much is in the database of the benchmarks.
const (
	benchImages    = 100_000
	benchRecords   = 1_000_000
	benchInstances = 100_000 // of the last image
)

// fill registers images, makes instances of the last one, and puts unlocks of the last 30 days into the log: one in
// ten denied, one in a thousand an operator's. They are beyond the head of the chain,
// which is authenticated, and are not of the chain; no page looks at that.
func (w *world) fill(b *testing.B, db storetest.Database) (last store.Image, release store.Release) {
	b.Helper()
	for done := 0; done < benchImages; {
		_, err := w.store.Audited(b.Context(), func(ctx context.Context) (audit.Record, error) {
			for range 1000 {
				image := storetest.Image(fmt.Sprintf("image %06d of team %d", done, done%97))
				image.Labels = map[string]string{"stage": []string{"production", "staging", "ci"}[done%3]}
				done++
				r := storetest.Release("f", "k", "i")
				r.Variants, r.Policy = r.Variants[:1], []byte(`{"version":1}`)
				var err error
				if last, release, err = w.store.CreateImage(ctx, image, r, storetest.Present); err != nil {
					return audit.Record{}, err
				}
			}
			return audit.Record{Outcome: audit.OutcomeDone, Reason: "image.registered"}, nil
		})
		must(b, err)
	}
	must(b, w.store.SetInstanceSettings(b.Context(), last.ID, storetest.Named()))
	for done := 0; done < benchInstances; {
		_, err := w.store.Audited(b.Context(), func(ctx context.Context) (audit.Record, error) {
			for range 1000 {
				done++
				if _, err := w.store.CreateInstance(ctx, storetest.Instance(last.ID, fmt.Sprintf("vm-%06d-of-team-%d", done, done%97))); err != nil {
					return audit.Record{}, err
				}
			}
			return audit.Record{Outcome: audit.OutcomeDone, Reason: "instance.created"}, nil
		})
		must(b, err)
	}
	raw := db.Raw(b)
	head, err := w.store.AuditHead(b.Context())
	must(b, err)
	sqlite := w.store.Backend() == store.SQLite
	for _, statement := range fillStatements(head.Seq, last, sqlite) {
		if _, err := raw.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%.200s: %v", statement, err)
		}
	}
	return last, release
}

// fillStatements write the log. Every hundredth record is of the last image.
func fillStatements(seq int64, image store.Image, sqlite bool) []string {
	now, span := time.Now().UnixMicro(), (30 * 24 * time.Hour).Microseconds()
	numbers := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < %d)", benchRecords)
	quote := `'\x%x'::bytea`
	bytes := func(text string) string { return "convert_to(" + text + ", 'UTF8')" }
	if sqlite {
		quote, bytes = "x'%x'", func(text string) string { return "CAST(" + text + " AS BLOB)" }
	}
	blob := func(data []byte) string { return fmt.Sprintf(quote, data) }
	outcome := "CASE WHEN i % 1000 = 0 THEN 'done' WHEN i % 10 = 0 THEN 'denied' ELSE 'granted' END"
	reason := "CASE WHEN i % 1000 = 0 THEN 'image.changed' WHEN i % 20 = 0 THEN 'measurement' WHEN i % 10 = 0 THEN 'tcb_floors.reported' ELSE '' END"
	kind := "CASE WHEN i % 1000 = 0 THEN 'admin' ELSE 'unlock' END"
	id := fmt.Sprintf("CASE WHEN i %% 100 = 0 THEN %s ELSE %s END", blob(image.ID[:]), blob(make([]byte, 16)))
	body := fmt.Sprintf(`'{"seq":' || (%d + i) || ',"time":"2026-11-23T12:00:00Z","kind":"' || %s || '","outcome":"' || %s || '","reason":"' || %s || '","report":"%s"}'`,
		seq, kind, outcome, reason, strings.Repeat("A", 1580))
	return []string{
		fmt.Sprintf(`%s INSERT INTO audit (seq, hash, body, recorded_at, kind, outcome, reason, request_id, image_id, chip_id)
			SELECT %d + i, %s, %s, %d + i * %d, %s, %s, %s, 'request ' || i, %s, %s FROM n`,
			numbers, seq, blob(make([]byte, 32)), bytes(body), now-span, span/benchRecords, kind, outcome, reason, id, blob(make([]byte, 64))),
		`DELETE FROM unlock_counts`,
		`INSERT INTO unlock_counts (hour, outcome, reason, records)
			SELECT recorded_at / 3600000000, outcome, reason, COUNT(*) FROM audit WHERE kind = 'unlock' GROUP BY 1, 2, 3`,
		map[bool]string{true: `SELECT 1`, false: `ANALYZE`}[sqlite], // which PostgreSQL does by itself after a while
	}
}

// BenchmarkRatioPages renders pages with 100,000 images and 1,000,000 records in
// the database. A page should take less than 50 ms, whatever is searched for.
func BenchmarkRatioPages(b *testing.B) { benchmarkPages(b, storetest.SQLite(b)) }

// BenchmarkPagesPostgres does the same with PostgreSQL. It takes minutes to fill.
func BenchmarkPagesPostgres(b *testing.B) {
	var cluster storetest.Cluster
	b.Cleanup(cluster.Stop)
	benchmarkPages(b, storetest.Postgres(b, &cluster))
}

func benchmarkPages(b *testing.B, db storetest.Database) {
	w := newWorld(b, db)
	image, release := w.fill(b, db)
	path := "/images/" + image.ID.String()
	since := time.Now().Add(-15 * 24 * time.Hour).UTC().Format(minuteForm)
	until := time.Now().Add(-15*24*time.Hour + time.Minute).UTC().Format(minuteForm)
	for _, page := range []struct{ name, path string }{
		{"overview", "/?span=30d"},
		{"images", "/images"},
		{"images deep", "/images?page=1999"},
		{"images sorted deep", "/images?sort=name-desc&page=1000"},
		{"images by name", "/images?name=050000+of"},
		{"images by no name", "/images?name=nothing+of+the+kind"},
		{"images by label", "/images?label=stage%3Dci"},
		{"images by label and state", "/images?label=stage%3Dci&enabled=false"},
		{"images by no label", "/images?label=stage%3Dnone"},
		{"image", path},
		{"release", path + "/releases/" + release.ID.String()},
		{"instances", "/instances"},
		{"instances of image", "/instances?image=" + image.ID.String()},
		{"instances by name", "/instances?name=050000-of"},
		{"instances by no name", "/instances?name=nothing-of-the-kind"},
		{"instances by state", "/instances?state=ready"},
		{"instances deleted", "/instances?state=deleted"},
		{"audit", "/audit"},
		{"audit deep", "/audit?cursor=400000"},
		{"audit of operators", "/audit?kind=admin"},
		{"audit denied", "/audit?kind=unlock&outcome=denied"},
		{"audit of nothing", "/audit?kind=admin&outcome=granted"},
		{"audit of image", "/audit?image_id=" + image.ID.String() + "&outcome=denied"},
		{"audit of time", "/audit?since=" + since + "&until=" + until},
		{"audit of time and reason", "/audit?reason=measurement&since=" + since + "&until=" + until},
		{"audit of request", "/audit?request_id=request+77"},
		{"record", "/records/500000"},
		{"tokens", "/tokens"},
		{"settings", "/settings"},
	} {
		b.Run(strings.ReplaceAll(page.name, " ", "_"), func(b *testing.B) {
			start := time.Now()
			n := 0
			for b.Loop() {
				if got := w.get(page.path); got.Code != http.StatusOK {
					b.Fatalf("status %d: %.500s", got.Code, got.Body)
				}
				n++
			}
			ratio.Report(b, "ms", 50, float64(time.Since(start).Microseconds())/1000/float64(n))
		})
	}
}
