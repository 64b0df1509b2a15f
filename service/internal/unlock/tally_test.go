package unlock_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// memory is a log that keeps everything, or fails.
type memory struct {
	mu      sync.Mutex
	records []audit.Record
	counts  []audit.Record
	err     error
}

func (m *memory) RecordUnlock(_ context.Context, u store.Unlock) (audit.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.Audit.Count == 0 {
		m.records = append(m.records, u.Audit)
	} else if m.err == nil {
		m.counts = append(m.counts, u.Audit)
	}
	u.Audit.Kind = audit.KindUnlock
	return audit.Entry{Record: u.Decide(u.Audit, store.Facts{Standing: &store.Standing{}})}, m.err
}

func (m *memory) requests() (n int64) {
	for _, c := range m.counts {
		n += c.Count
	}
	return n
}

func denied(reason audit.Reason, block string, at time.Time) unlock.Record {
	return unlock.Record{Block: block, Audit: audit.Record{Outcome: audit.OutcomeDenied, Reason: reason, Time: at, Address: block}}
}

func record(t *testing.T, tally *unlock.Tally, r unlock.Record) {
	t.Helper()
	got, err := tally.Record(t.Context(), r)
	if err != nil || got.Granted() != (r.Claim != nil) || got.Reason != r.Audit.Reason {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// TestTallyIsBounded denies from thousands of addresses for many reasons: there is a
// bounded number of rows, and their sum is every request.
func TestTallyIsBounded(t *testing.T) {
	m := &memory{}
	tally := unlock.NewTally(m, nil)
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const reasons, requests = 12, 50_000
	for i := range requests {
		record(t, tally, denied(audit.Reason(fmt.Sprint("reason ", i%reasons)), fmt.Sprint("block ", i%5000), start.Add(time.Duration(i)*time.Millisecond)))
	}
	if err := tally.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(m.records) != 20 || len(m.counts) > 32+reasons {
		t.Errorf("%d records, %d counts", len(m.records), len(m.counts))
	}
	if got := int64(len(m.records)) + m.requests(); got != requests {
		t.Errorf("%d requests are recorded, want %d", got, requests)
	}
	others := 0
	for _, c := range m.counts {
		if c.Address == unlock.OtherBlocks {
			others++
		}
		first, firstErr := time.Parse(time.RFC3339, c.Details["first"])
		last, lastErr := time.Parse(time.RFC3339, c.Details["last"])
		if errors.Join(firstErr, lastErr) != nil || first.Before(start) || last.Before(first) || last.After(start.Add(requests*time.Millisecond)) {
			t.Errorf("from %s to %s", c.Details["first"], c.Details["last"])
		}
	}
	if others != reasons {
		t.Errorf("%d rows of other addresses, want one for each of %d reasons", others, reasons)
	}
}

// TestTallySamples has one address, and one reason, come first: others still have
// denials recorded in full.
func TestTallySamples(t *testing.T) {
	m := &memory{}
	tally := unlock.NewTally(m, nil)
	now := time.Now()
	for range 1000 {
		record(t, tally, denied("a", "attacker", now))
	}
	if len(m.records) != 5 {
		t.Errorf("%d denials of one address are recorded in full, want 5", len(m.records))
	}
	for i := range 100 {
		record(t, tally, denied("a", fmt.Sprint(i), now))
	}
	if len(m.records) != 10 {
		t.Errorf("%d denials for one reason are recorded in full, want 10", len(m.records))
	}
	record(t, tally, denied("b", "guest", now))
	if r := m.records[len(m.records)-1]; len(m.records) != 11 || r.Address != "guest" {
		t.Errorf("a denial for another reason is not recorded in full: %+v", r)
	}
	if err := tally.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(t, tally, denied("a", "attacker", now))
	if len(m.records) != 12 {
		t.Error("no denial is recorded in full in the next minute")
	}
}

// TestVerifiedIsRecorded: whatever is counted, grants and denials of genuine reports
// are recorded each by itself.
func TestVerifiedIsRecorded(t *testing.T) {
	m := &memory{}
	tally := unlock.NewTally(m, nil)
	for range 100 {
		r := denied("measurement", "a", time.Now())
		r.Verified = true
		record(t, tally, r)
		record(t, tally, unlock.Record{Verified: true, Nonce: &store.Nonce{}, Claim: &store.Claim{}})
	}
	if err := tally.Flush(t.Context()); err != nil || len(m.records) != 200 || len(m.counts) != 0 {
		t.Errorf("%d records, %d counts, %v", len(m.records), len(m.counts), err)
	}
}

// TestTallySurvives loses no count to a database that is down, nor to the end of
// the service.
func TestTallySurvives(t *testing.T) {
	m := &memory{}
	failures := 0
	tally := unlock.NewTally(m, func(error) { failures++ })
	now := time.Now()
	for i := range 200 {
		record(t, tally, denied("a", fmt.Sprint(i%2), now))
	}
	m.err = errors.New("down")
	if err := tally.Flush(t.Context()); err == nil {
		t.Error("no error")
	}
	m.err = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tally.Run(ctx)
	if got := int64(len(m.records)) + m.requests(); got != 200 || failures != 0 {
		t.Errorf("%d requests are recorded, %d failures", got, failures)
	}
}

// TestFloodOfForgedNonces floods a service with nonces of its own making, as one
// address may and as a botnet would, and looks at what the database grows by.
func TestFloodOfForgedNonces(t *testing.T) {
	w := newWorld(t)
	observed := 0
	config := w.service.Config
	config.Nonces = nonce.NewIssuer([]byte("nonce key"), w.clock)
	config.Observe = func(audit.Reason, time.Duration) { observed++ }
	service := unlock.New(config)
	request := w.guest(t).Request(t, service.Challenge().Nonce)
	before, err := w.database.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const minutes, each = 5, 2000
	for minute := range minutes {
		for i := range each {
			forged := *request
			forged.Nonce = make([]byte, wire.NonceSize)
			rand.Read(forged.Nonce) // never fails, see crypto/rand
			caller := unlock.Caller{RequestID: fmt.Sprint(i), Address: fmt.Sprint(i % 500), Block: fmt.Sprint(i % 500)}
			var denial *unlock.Denial
			if _, err := service.Unlock(t.Context(), &forged, caller); !errors.As(err, &denial) || denial.Reason != audit.ReasonNonceForged {
				t.Fatalf("minute %d: %v", minute, err)
			}
		}
		if err := w.tally.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Minute)
	}
	after, err := w.database.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Ten in full, 32 counts and one of the other addresses, a minute.
	if grown := after.Seq - before.Seq; grown != minutes*(10+32+1) {
		t.Errorf("%d records for %d requests", grown, minutes*each)
	}
	counts, err := w.database.UnlockCounts(t.Context(), w.now.Add(-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var charted int64
	for _, c := range counts {
		charted += c.Records
	}
	if charted != minutes*each || observed != minutes*each {
		t.Errorf("the chart shows %d, the metrics %d, want %d", charted, observed, minutes*each)
	}
	if _, err := w.database.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

// TestNonceOfUnverified: a request that proves nothing uses up no nonce, in memory or
// in the database; one with a genuine report does.
func TestNonceOfUnverified(t *testing.T) {
	w := newWorld(t)
	g := w.guest(t)
	request := g.Request(t, w.service.Challenge().Nonce)
	forged := *request
	forged.SealedVMK = make([]byte, wire.SealedVMKSize)
	for range 3 {
		if _, err := w.unlock(t, &forged); err == nil {
			t.Fatal("a changed request is granted")
		}
	}
	if _, err := w.unlock(t, request); err != nil {
		t.Errorf("the guest whose nonce was shown before is denied: %v", err)
	}
	var denial *unlock.Denial
	if _, err := w.unlock(t, request); !errors.As(err, &denial) || denial.Reason != audit.ReasonNonceUsed {
		t.Errorf("a replay gets %v", err)
	}
}

// TestGrowth measures a database under the worst flood, for docs/operations.md.
func TestGrowth(t *testing.T) {
	db := storetest.SQLite(t)
	s := db.Open(t)
	file := strings.TrimPrefix(db.DSN, "sqlite:")
	tally := unlock.NewTally(s, nil)
	const minutes, reasons = 60, 20
	for range minutes {
		for i := range 2000 {
			r := denied(audit.Reason(fmt.Sprint("reason_", i%reasons)), fmt.Sprintf("2001:db8:%x::/64", i), time.Now())
			r.Audit.Report, r.Audit.ChipID, r.Audit.RequestID, r.Audit.TCB = make([]byte, 1184), make([]byte, 64), wire.NewUUID().String(), "0123456789abcdef"
			r.Audit.Expected, r.Audit.Found = string(make([]byte, 96)), string(make([]byte, 96))
			record(t, tally, r)
		}
		if err := tally.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // moves what is in the write-ahead log into the file
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	perDay := info.Size() / minutes * 24 * 60
	t.Logf("%d bytes for %d minutes: %d MB a day", info.Size(), minutes, perDay>>20)
	if perDay > 250<<20 {
		t.Errorf("a flood grows the database by %d MB a day", perDay>>20)
	}
}
