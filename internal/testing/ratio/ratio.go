// Package ratio lets a benchmark say how much longer some work takes than a
// reference that runs beside it. Machines differ and are noisy; the ratio of
// two things done in turn on the same one says more than seconds. Tests alone
// import it.
package ratio

import (
	"slices"
	"testing"
	"time"
)

// rounds is how many the median is taken of, at least.
const rounds = 5

// Compare runs reference and subject in turn for as long as the benchmark lasts, and
// five times or more. It reports the median of subject's time over reference's under
// the given unit, such as "x-hashing", beside the target that it should stay under.
func Compare(b *testing.B, unit string, limit float64, reference, subject func()) {
	b.Helper()
	Pair{func() {}, reference, subject}.Compare(b, unit, limit)
}

// Pair is what is compared, and what clears away before each of the two what was left
// behind; that takes no part in the times.
type Pair struct{ Clear, Reference, Subject func() }

// Compare is the function Compare for a pair.
func (p Pair) Compare(b *testing.B, unit string, limit float64) {
	b.Helper()
	var ratios []float64
	round := func() {
		p.Clear()
		base := duration(p.Reference)
		p.Clear()
		ratios = append(ratios, float64(duration(p.Subject))/float64(base))
	}
	for b.Loop() {
		round()
	}
	for len(ratios) < rounds {
		round()
	}
	slices.Sort(ratios)
	Report(b, unit, limit, ratios[len(ratios)/2])
}

// Report reports one figure and its target in place of the time per run.
func Report(b *testing.B, unit string, limit, value float64) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
	b.ReportMetric(limit, "target")
}

func duration(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}
