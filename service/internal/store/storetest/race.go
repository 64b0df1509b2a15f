package storetest

import (
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// grants counts, of unlocks made at the same time, those that are granted.
func grants(t *testing.T, stores []*store.Store, unlocks []unlock.Record) (granted int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, u := range unlocks {
		wg.Go(func() {
			decision, err := u.Write(t.Context(), stores[i%len(stores)])
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if decision.Granted() {
				granted++
			}
		})
	}
	wg.Wait()
	return granted
}

func testOneNonce(t *testing.T, d Database) {
	stores := []*store.Store{d.OpenStanding(t), d.Open(t)}
	for range 3 {
		nonce := Granted(t, stores[0]).Nonce
		var unlocks []unlock.Record
		for range 40 {
			u := Granted(t, stores[0])
			u.Nonce = nonce
			unlocks = append(unlocks, u)
		}
		if n := grants(t, stores, unlocks); n != 1 {
			t.Errorf("%d grants for one nonce", n)
		}
	}
}

// Forty guests claim one launch with keys of their own; afterwards the winner
// alone may ask again.
func testOneLaunch(t *testing.T, d Database) {
	stores := []*store.Store{d.OpenStanding(t), d.Open(t)}
	claim := *Granted(t, stores[0]).Claim
	var unlocks, again []unlock.Record
	for range 40 {
		u, retry := Granted(t, stores[0]), Granted(t, stores[0])
		u.Claim.ReportID, u.Claim.ReleaseID = claim.ReportID, claim.ReleaseID
		retry.Claim = u.Claim
		unlocks, again = append(unlocks, u), append(again, retry)
	}
	for _, all := range [][]unlock.Record{unlocks, again} {
		if n := grants(t, stores, all); n != 1 {
			t.Errorf("%d guests were granted one launch", n)
		}
	}
}

// What waits while a transaction is on its way goes into the next one.
func testBatches(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	const count = 600 // more than two full batches
	atOnce(t, s, count)
	stats := s.Stats()
	if stats.Records != count || stats.Batches >= count/2 || stats.Batches < 3 || stats.Failures != 0 || stats.Waiting != 0 {
		t.Errorf("got %+v", stats)
	}
	if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq != count {
		t.Errorf("got %s, %v", head, err)
	}
}

// Two replicas write at the same time: one chain, nothing lost.
func testTwoStores(t *testing.T, d Database) {
	stores := []*store.Store{d.OpenStanding(t), d.Open(t)}
	var unlocks []unlock.Record
	for range 300 {
		unlocks = append(unlocks, Granted(t, stores[0]))
	}
	if n := grants(t, stores, unlocks); n != len(unlocks) {
		t.Errorf("%d of %d granted", n, len(unlocks))
	}
	if n := grants(t, stores, unlocks); n != 0 {
		t.Errorf("%d granted with used nonces", n)
	}
	for _, s := range stores {
		if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq != 2*int64(len(unlocks)) {
			t.Errorf("got %s, %v", head, err)
		}
	}
	for _, u := range unlocks {
		found, err := stores[0].ListAudit(t.Context(), store.AuditFilter{RequestID: u.Audit.RequestID}, store.AuditRange{OldestFirst: true})
		if err != nil || len(found) != 2 || found[0].Outcome != audit.OutcomeGranted || found[1].Reason != audit.ReasonNonceUsed {
			t.Fatalf("%s: got %d records, %v", u.Audit.RequestID, len(found), err)
		}
	}
}
