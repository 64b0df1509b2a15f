package web

import (
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func TestAgo(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		before time.Duration
		want   string
	}{
		{0, "just now"}, {4 * time.Second, "just now"}, {5 * time.Second, "5 seconds ago"}, {time.Minute, "1 minute ago"},
		{119 * time.Minute, "1 hour ago"}, {25 * time.Hour, "1 day ago"}, {40 * 24 * time.Hour, "40 days ago"},
		{61 * 24 * time.Hour, "2 months ago"}, {400 * 24 * time.Hour, "13 months ago"}, {800 * 24 * time.Hour, "2 years ago"},
		{-time.Second, "in 1 second"}, {-90 * 24 * time.Hour, "in 3 months"},
	} {
		if got := ago(now, now.Add(-tc.before)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.before, got, tc.want)
		}
	}
	if got := ago(now, time.Time{}); got != "never" {
		t.Errorf("got %q", got)
	}
	if got := until(now, now.Add(time.Hour)); got != "in 1 hour" {
		t.Errorf("got %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1_000", 1234567: "1_234_567", -1000: "-1_000", -100: "-100"} {
		if got := strings.ReplaceAll(grouped(n), "\u202F", "_"); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
}

func TestChart(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 30, 0, 0, time.UTC)
	for _, span := range chartSpans() {
		begin := span.begin(now)
		c := newChart(span, begin, []store.UnlockCount{
			{Hour: begin, Outcome: audit.OutcomeGranted, Records: 1000},
			{Hour: begin, Outcome: audit.OutcomeDenied, Reason: "a", Records: 1},
			{Hour: begin, Outcome: audit.OutcomeDenied, Reason: "b", Records: 1},
			{Hour: now.Truncate(time.Hour), Outcome: audit.OutcomeGranted, Records: 7},
			{Hour: begin.Add(-time.Hour), Outcome: audit.OutcomeGranted, Records: 50},
			{Hour: now.Add(1000 * time.Hour), Outcome: audit.OutcomeGranted, Records: 50},
		})
		first, last := c.Bars[0], c.Bars[len(c.Bars)-1]
		if c.Granted != 1007 || c.Denied != 2 || first.Granted != 1000 || first.Denied != 2 || last.Granted != 7 || len(c.Ticks) != span.ticks {
			t.Errorf("%s: got %+v", span.Name, c)
		}
		if !last.To.After(now) || last.From.After(now) {
			t.Errorf("%s: the last bar is from %s to %s", span.Name, last.From, last.To)
		}
		if c.Up != 1000 || c.Down != 2 || c.Line != barUp || first.GrantedHigh != barUp || first.GrantedY != 0 || first.DeniedHigh != barHeight-barUp || last.GrantedHigh != 2 {
			t.Errorf("%s: got %d, %d, %+v, %+v", span.Name, c.Up, c.Down, first, last)
		}
		if got := strings.ReplaceAll(c.Describe(), "\u202F", ""); !strings.HasPrefix(got, "1007 granted, 2 denied. Most in the ") {
			t.Errorf("%s: %s", span.Name, got)
		}
	}
	empty := newChart(chartSpans()[0], now, nil)
	if empty.Busiest != nil || empty.Up != 1 || empty.Line != barHeight || empty.Describe() != "No unlocks were requested." {
		t.Errorf("got %+v", empty)
	}
}

// TestChartIsFull draws few denials among many unlocks, and one kind alone: both can
// be seen, and no part of the chart is kept for what is not there.
func TestChartIsFull(t *testing.T) {
	now := time.Date(2026, time.November, 23, 12, 30, 0, 0, time.UTC)
	span := chartSpans()[0]
	begin := span.begin(now)
	for _, tc := range []struct {
		granted, denied int64
		shape           string
		line            int
	}{
		{96, 4, "both", barUp}, {9_600, 400, "both", barUp}, {1_000_000, 1, "both", barUp}, {11, 11, "both", barUp},
		{1001, 0, "granted", barHeight}, {1, 0, "granted", barHeight}, {0, 7, "denied", 0}, {0, 0, "granted", barHeight},
	} {
		c := newChart(span, begin, []store.UnlockCount{
			{Hour: begin, Outcome: audit.OutcomeGranted, Records: tc.granted}, {Hour: begin, Outcome: audit.OutcomeDenied, Records: tc.denied},
		})
		b := c.Bars[0]
		if c.Shape() != tc.shape || c.Line != tc.line {
			t.Errorf("%d granted, %d denied: %s, the line is at %d", tc.granted, tc.denied, c.Shape(), c.Line)
		}
		if tc.granted > 0 && 3*b.GrantedHigh < 2*c.Line || tc.denied > 0 && 3*b.DeniedHigh < 2*(barHeight-c.Line) {
			t.Errorf("%d granted, %d denied: bars of %d and %d", tc.granted, tc.denied, b.GrantedHigh, b.DeniedHigh)
		}
		if b.GrantedY+b.GrantedHigh != c.Line || b.DeniedY != c.Line || c.Up < tc.granted || c.Down < tc.denied {
			t.Errorf("%d granted, %d denied: %+v", tc.granted, tc.denied, b)
		}
	}
}
