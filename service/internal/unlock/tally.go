package unlock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
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

// count is denials of one reason and address that are recorded together.
type count struct {
	reason      audit.Reason
	block       string // what counts as one address, or OtherBlocks
	requests    int64
	first, last time.Time
}

// record returns the one record of all of them.
func (c *count) record() Record {
	return Record{Audit: audit.Record{
		Reason: c.reason, Address: c.block, Count: c.requests,
		Details: map[string]string{"first": c.first.UTC().Format(time.RFC3339), "last": c.last.UTC().Format(time.RFC3339)},
	}}
}

// Tally records grants, and denials of genuine reports, each by
// itself. Of all other denials it lets a few through and counts the rest by reason
// and address; Run records the counts every minute. It is safe for concurrent use.
type Tally struct {
	log    Log
	failed func(error)

	mu      sync.Mutex
	sampled int
	reasons map[audit.Reason]int // sampled
	blocks  map[string]int       // sampled
	counts  map[tallied]*count
}

type tallied struct {
	reason audit.Reason
	block  string
}

// NewTally returns a Tally. failed is told when counts could not be recorded; they
// are kept then.
func NewTally(log Log, failed func(error)) *Tally {
	t := &Tally{log: log, failed: failed, counts: make(map[tallied]*count)}
	t.fresh()
	return t
}

// fresh lets samples through again.
func (t *Tally) fresh() {
	t.sampled, t.reasons, t.blocks = 0, make(map[audit.Reason]int), make(map[string]int)
}

// Record writes a record, or counts it, and returns what was decided.
func (t *Tally) Record(ctx context.Context, r Record) (audit.Record, error) {
	if !r.denied() || r.Verified || t.sample(r) {
		entry, err := r.Write(ctx, t.log)
		return entry.Record, err
	}
	t.add(count{r.Audit.Reason, r.Block, 1, r.Audit.Time, r.Audit.Time})
	return r.Audit, nil
}

// sample reports whether a denial is to be recorded in full.
func (t *Tally) sample(r Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := r.Audit.Reason
	if t.sampled >= maxSamples || t.reasons[reason] >= maxReasonSamples || t.blocks[r.Block] >= maxBlockSamples {
		return false
	}
	t.sampled++
	t.reasons[reason]++
	t.blocks[r.Block]++
	return true
}

// add counts denials. Reasons are those of package audit and attest's, so there are
// not many.
func (t *Tally) add(c count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tallied{c.reason, c.block}
	if t.counts[key] == nil && len(t.counts) >= maxCounts {
		key.block = OtherBlocks
	}
	sum := t.counts[key]
	if sum == nil {
		sum = &count{reason: key.reason, block: key.block, first: c.first, last: c.last}
		t.counts[key] = sum
	}
	sum.requests += c.requests
	if c.first.Before(sum.first) {
		sum.first = c.first
	}
	if c.last.After(sum.last) {
		sum.last = c.last
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
	t.counts = make(map[tallied]*count)
	t.fresh()
	t.mu.Unlock()
	var mu sync.Mutex
	var failures error
	var done sync.WaitGroup
	for _, c := range counts {
		// Together, so that they go into one transaction.
		done.Go(func() {
			if _, err := c.record().Write(ctx, t.log); err != nil {
				t.add(*c)
				mu.Lock()
				defer mu.Unlock()
				failures = errors.Join(failures, err)
			}
		})
	}
	done.Wait()
	return failures
}
