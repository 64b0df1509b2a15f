package web

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestAuditPages goes to the oldest records and back.
func TestAuditPages(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for range 2*store.DefaultPage + 5 {
		_, err := w.store.RecordAdmin(t.Context(), audit.Record{Outcome: audit.OutcomeDone, Reason: "x"})
		must(t, err)
	}
	listed := func(path string) (string, []string) {
		t.Helper()
		page := w.get(path).Body.String()
		return page, regexp.MustCompile(`href="/records/\d+"`).FindAllString(page, -1)
	}
	var way [][]string
	var page string
	for path := "/audit?kind=admin"; ; {
		var records []string
		page, records = listed(path)
		way = append(way, records)
		older := links(page, "Older")
		if len(older) == 0 {
			break
		}
		path = older[0]
	}
	if len(way) != 3 || len(way[2]) != 5 {
		t.Fatalf("the pages list %q", way)
	}
	for _, want := range [][]string{way[1], way[0]} {
		newer := links(page, "Newer")
		if len(newer) != 1 {
			t.Fatalf("there is no way back: %q", newer)
		}
		var got []string
		if page, got = listed(newer[0]); !slices.Equal(got, want) {
			t.Errorf("back there is %q, want %q", got, want)
		}
	}
	if newer := links(page, "Newer"); len(newer) != 0 {
		t.Errorf("before the first page there is %q", newer)
	}
	for _, cursor := range []string{"0", "-1", "x", "after-", "after-0", "after-x"} {
		if got := w.get("/audit?cursor=" + cursor); got.Code != http.StatusBadRequest {
			t.Errorf("cursor %s: status %d", cursor, got.Code)
		}
	}
}
