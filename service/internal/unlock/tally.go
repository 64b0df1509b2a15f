package unlock

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Bounds of what strangers can make the audit log grow by, between two flushes.
// What a denial says before the chip's signature is verified can all be made up.
const (
	flushEvery = time.Minute

	maxSamples       = 20 // denials that are recorded in full
	maxReasonSamples = 10 // of them for one reason
	maxBlockSamples  = 5  // and of one address
	maxCounts        = 32 // rows that count the others, besides one of OtherBlocks for each reason

	flushTime = 20 * time.Second // for the last one
)

// OtherBlocks is what the denials of all those addresses are counted under that
// came when there were enough rows already.
const OtherBlocks = "other"

// Count is denials of one reason and address that are recorded together.
type Count struct {
	Reason      Reason
	Block       string // what counts as one address, or OtherBlocks
	Requests    int64
	First, Last time.Time
}

// CountRecorder is a Recorder that can record counts too.
type CountRecorder interface {
	Recorder

	// RecordCount returns once the count is durable.
	RecordCount(ctx context.Context, c Count) error
}

// Tally is a Recorder that records grants, and denials of genuine reports, each by
// itself. Of all other denials it lets a few through and counts the rest by reason
// and address; Run records the counts every minute. It is safe for concurrent use.
type Tally struct {
	recorder CountRecorder
	failed   func(error)

	mu      sync.Mutex
	sampled int
	reasons map[Reason]int // sampled
	blocks  map[string]int // sampled
	counts  map[tallied]*Count
}

type tallied struct {
	reason Reason
	block  string
}

// NewTally returns a Tally. failed is told when counts could not be recorded; they
// are kept then.
func NewTally(recorder CountRecorder, failed func(error)) *Tally {
	t := &Tally{recorder: recorder, failed: failed, counts: make(map[tallied]*Count)}
	t.fresh()
	return t
}

// fresh lets samples through again.
func (t *Tally) fresh() {
	t.sampled, t.reasons, t.blocks = 0, make(map[Reason]int), make(map[string]int)
}

// Record implements Recorder.
func (t *Tally) Record(ctx context.Context, r Record) (Reason, error) {
	if r.Denial == nil || r.Verified || t.sample(r) {
		return t.recorder.Record(ctx, r)
	}
	t.count(Count{r.Denial.Reason, r.Block, 1, r.Time, r.Time})
	return r.Denial.Reason, nil
}

// sample reports whether a denial is to be recorded in full.
func (t *Tally) sample(r Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := r.Denial.Reason
	if t.sampled >= maxSamples || t.reasons[reason] >= maxReasonSamples || t.blocks[r.Block] >= maxBlockSamples {
		return false
	}
	t.sampled++
	t.reasons[reason]++
	t.blocks[r.Block]++
	return true
}

// count adds denials. Reasons are those of this package and attest's, so there are
// not many.
func (t *Tally) count(c Count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tallied{c.Reason, c.Block}
	if t.counts[key] == nil && len(t.counts) >= maxCounts {
		key.block = OtherBlocks
	}
	sum := t.counts[key]
	if sum == nil {
		sum = &Count{Reason: key.reason, Block: key.block, First: c.First, Last: c.Last}
		t.counts[key] = sum
	}
	sum.Requests += c.Requests
	if c.First.Before(sum.First) {
		sum.First = c.First
	}
	if c.Last.After(sum.Last) {
		sum.Last = c.Last
	}
}

// Run records the counts every minute, and once more when ctx ends.
func (t *Tally) Run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
			defer cancel()
			t.flush(last)
			return
		}
	}
}

func (t *Tally) flush(ctx context.Context) {
	if err := t.Flush(ctx); err != nil {
		t.failed(err)
	}
}

// Flush records what was counted. What cannot be recorded is kept, within the same
// bounds, for the next time.
func (t *Tally) Flush(ctx context.Context) error {
	t.mu.Lock()
	counts := t.counts
	t.counts = make(map[tallied]*Count)
	t.fresh()
	t.mu.Unlock()
	var mu sync.Mutex
	var failures error
	var done sync.WaitGroup
	for _, c := range counts {
		// Together, so that they go into one transaction.
		done.Go(func() {
			if err := t.recorder.RecordCount(ctx, *c); err != nil {
				t.count(*c)
				mu.Lock()
				defer mu.Unlock()
				failures = errors.Join(failures, err)
			}
		})
	}
	done.Wait()
	return failures
}
