package web

import (
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// chartSpan is a length of time that the chart can show.
type chartSpan struct {
	Name, Text string
	bars       int
	each       time.Duration // a whole number of hours
	ticks      int           // labels below the chart; divides bars
	layout     string        // of a label
}

func chartSpans() []chartSpan {
	return []chartSpan{
		{Name: "24h", Text: "24 hours", bars: 24, each: time.Hour, ticks: 6, layout: "15:04"},
		{Name: "7d", Text: "7 days", bars: 28, each: 6 * time.Hour, ticks: 7, layout: "Jan 2"},
		{Name: "30d", Text: "30 days", bars: 30, each: 24 * time.Hour, ticks: 6, layout: "Jan 2"},
	}
}

// chartSpanNamed returns the first span for an unknown name.
func chartSpanNamed(name string) chartSpan {
	for _, s := range chartSpans() {
		if s.Name == name {
			return s
		}
	}
	return chartSpans()[0]
}

// begin is where the chart begins that has now in its last bar.
func (s chartSpan) begin(now time.Time) time.Time {
	return now.UTC().Truncate(s.each).Add(-time.Duration(s.bars-1) * s.each)
}

// Measures of the chart in units of its view box. What was granted stands above
// the line, what was denied hangs below it, each to its own scale: of a hundred
// unlocks, few are denied, and those are what one looks for. Where there are both,
// two thirds of the height are above; where there is one alone, it has all of it.
const (
	barPitch  = 20
	barWidth  = 14
	barHeight = 180
	barUp     = 120
)

// chart is unlocks over time.
type chart struct {
	Width, Height, Line int
	Bars                []bar
	Ticks               []string
	Up, Down            int64 // what the upper and the lower edge stand for; 0: it is the line
	Granted, Denied     int64 // in all
	Busiest             *bar  // nil: there was nothing
}

// Shape says which of the two the chart has: both, granted or denied.
func (c chart) Shape() string {
	switch {
	case c.Down == 0:
		return "granted"
	case c.Up == 0:
		return "denied"
	}
	return "both"
}

// bar is a part of the time.
type bar struct {
	From, To              time.Time
	Granted, Denied       int64
	X, Width              int
	GrantedY, GrantedHigh int
	DeniedY, DeniedHigh   int
	ChartWhole            int
}

// newChart adds up counts from the beginning of a span.
func newChart(span chartSpan, begin time.Time, counts []store.UnlockCount) chart {
	c := chart{Width: span.bars * barPitch, Height: barHeight, Bars: make([]bar, span.bars)}
	for i := range c.Bars {
		from := begin.Add(time.Duration(i) * span.each)
		c.Bars[i] = bar{From: from, To: from.Add(span.each), X: i*barPitch + (barPitch-barWidth)/2, Width: barWidth, ChartWhole: barHeight}
		if perTick := span.bars / span.ticks; i%perTick == 0 {
			c.Ticks = append(c.Ticks, from.Format(span.layout))
		}
	}
	for _, n := range counts {
		i := int(n.Hour.Sub(begin) / span.each)
		switch {
		case n.Hour.Before(begin) || i >= len(c.Bars): // the clock of another replica is ahead
		case n.Outcome == audit.OutcomeGranted:
			c.Bars[i].Granted += n.Records
			c.Granted += n.Records
		default:
			c.Bars[i].Denied += n.Records
			c.Denied += n.Records
		}
	}
	c.scale()
	return c
}

// scale gives the bars their heights.
func (c *chart) scale() {
	var granted, denied int64
	for i := range c.Bars {
		b := &c.Bars[i]
		granted, denied = max(granted, b.Granted), max(denied, b.Denied)
		if n := b.Granted + b.Denied; n > 0 && (c.Busiest == nil || n > c.Busiest.Granted+c.Busiest.Denied) {
			c.Busiest = b
		}
	}
	c.Up, c.Down, c.Line = niceAbove(granted), niceAbove(denied), barUp
	switch {
	case c.Down == 0:
		c.Up, c.Line = max(c.Up, 1), barHeight
	case c.Up == 0:
		c.Line = 0
	}
	for i := range c.Bars {
		b := &c.Bars[i]
		b.GrantedHigh, b.DeniedHigh = barSize(b.Granted, c.Up, c.Line), barSize(b.Denied, c.Down, barHeight-c.Line)
		b.GrantedY, b.DeniedY = c.Line-b.GrantedHigh, c.Line
	}
}

// barSize is the height of a bar; what is not nothing can be seen.
func barSize(n, edge int64, height int) int {
	if n == 0 {
		return 0
	}
	return max(int(n*int64(height)/edge), 2)
}

// niceAbove returns a round number that is at least n, and not much more: bars fill
// two thirds of their height or more. Of 0 it is 0.
func niceAbove(n int64) int64 {
	if n <= 10 {
		return n
	}
	for size := int64(1); ; size *= 10 {
		for _, step := range []int64{10, 12, 15, 20, 25, 30, 40, 50, 60, 80} {
			if size*step >= n {
				return size * step
			}
		}
	}
}

// Describe says in words what the chart shows.
func (c chart) Describe() string {
	if c.Busiest == nil {
		return "No unlocks were requested."
	}
	return fmt.Sprintf("%s granted, %s denied. Most in the %s from %s: %s granted, %s denied.",
		grouped(c.Granted), grouped(c.Denied), span(c.Busiest.To.Sub(c.Busiest.From)), c.Busiest.From.UTC().Format(time.RFC3339),
		grouped(c.Busiest.Granted), grouped(c.Busiest.Denied))
}
