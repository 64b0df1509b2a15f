package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func unlockTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"unlock decisions":     testUnlockDecisions,
		"unlock refusals":      testUnlockRefusals,
		"unlock one nonce":     testOneNonce,
		"unlock one launch":    testOneLaunch,
		"unlock in batches":    testBatches,
		"unlock failed batch":  testFailedBatch,
		"unlock cancelled":     testCancelled,
		"unlock while closing": testClosing,
		"unlock old nonces":    testOldNonces,
		"unlock two stores":    testTwoStores,
		"unlock killed":        testKilled,
		"unlock changed":       testChangedMeanwhile,
		"unlock or disable":    testDisableRace,
	}
}

// Hash returns 32 random bytes.
func Hash() (h [32]byte) {
	rand.Read(h[:]) // never fails, see crypto/rand
	return h
}

// Granted returns an unlock of Standing, as the store has it now, and as no other
// unlock is.
func Granted(tb testing.TB, s *store.Store) unlock.Record {
	tb.Helper()
	return GrantedOf(StandingLaunch(tb, s))
}

// StandingLaunch returns what guests of Standing are held against.
func StandingLaunch(tb testing.TB, s *store.Store) store.Launch {
	tb.Helper()
	image, release := Standing()
	return launchOf(tb, s, image, release)
}

// launchOf returns what a guest of a release is held against.
func launchOf(tb testing.TB, s *store.Store, image store.Image, release store.Release) store.Launch {
	tb.Helper()
	launch, err := s.FindLaunch(tb.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return launch
}

// GrantedOf returns an unlock of a launch as no other is.
func GrantedOf(launch store.Launch) unlock.Record {
	return unlock.Record{
		Audit: audit.Record{
			RequestID: wire.NewUUID().String(), ReleaseID: launch.Release.ID, ImageID: wire.NewUUID(), ChipID: make([]byte, 64), Report: make([]byte, 1184),
		},
		Nonce: &store.Nonce{Hash: Hash(), Expires: time.Now().Add(time.Minute)},
		Claim: &store.Claim{ReportID: Hash(), KeyHash: Hash(), ReleaseID: launch.Release.ID, ImageID: launch.Image.ID},
		Seen:  launch.Seen, Limit: launch.Image.LaunchLimit,
	}
}

// Denied returns an unlock that is denied for a reason.
func Denied(reason audit.Reason) unlock.Record {
	u := GrantedOf(store.Launch{})
	u.Audit.Reason, u.Claim = reason, nil
	return u
}

// record writes a record and fails the test when that fails.
func record(t *testing.T, s *store.Store, u unlock.Record) audit.Entry {
	t.Helper()
	decision, err := u.Write(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// atOnce records so many unlocks at the same time and returns the last record.
func atOnce(t *testing.T, s *store.Store, count int) audit.Entry {
	t.Helper()
	launch := StandingLaunch(t, s)
	var mu sync.Mutex
	var last audit.Entry
	var wg sync.WaitGroup
	for range count {
		wg.Go(func() {
			decision, err := GrantedOf(launch).Write(t.Context(), s)
			if err != nil || !decision.Granted() {
				t.Errorf("got %+v, %v", decision, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if decision.Seq > last.Seq {
				last = decision
			}
		})
	}
	wg.Wait()
	return last
}

func testUnlockDecisions(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	otherImage, other := create(t, s, Image("other"), Release("f", "k", "i"))
	otherLaunch := launchOf(t, s, otherImage, other)
	first := Granted(t, s)
	use := func(change func(*unlock.Record)) unlock.Record {
		u, claim := Granted(t, s), *first.Claim
		u.Claim = &claim
		change(&u)
		return u
	}
	denied := Denied("measurement")
	for i, tc := range []struct {
		name           string
		unlock         unlock.Record
		reason         audit.Reason // empty: granted
		retry          bool
		rule, original string
	}{
		{name: "first", unlock: first},
		{name: "same nonce, other launch", unlock: use(func(u *unlock.Record) { u.Nonce, u.Claim = first.Nonce, Granted(t, s).Claim }), reason: "nonce_used", rule: "nonce"},
		{name: "same nonce, same launch", unlock: first, reason: "nonce_used", rule: "nonce"},
		{name: "other guest key", unlock: use(func(u *unlock.Record) { u.Claim.KeyHash = Hash() }), reason: "report_id_released", rule: "report_id", original: "1"},
		{name: "other release", unlock: use(func(u *unlock.Record) { u.Claim.ReleaseID, u.Seen = other.ID, otherLaunch.Seen }), reason: "report_id_released", rule: "report_id", original: "1"},
		{name: "retry", unlock: use(func(*unlock.Record) {}), retry: true, original: "1"},
		{name: "other launch, same key", unlock: use(func(u *unlock.Record) { u.Claim.ReportID = Hash() })},
		{name: "denied", unlock: denied, reason: "measurement"},
		{name: "its nonce", unlock: use(func(u *unlock.Record) { u.Nonce = denied.Nonce }), reason: "nonce_used", rule: "nonce"},
		{name: "denied, used nonce", unlock: denied, reason: "nonce_used", rule: "nonce"},
		{name: "denied, no nonce", unlock: unlock.Record{Audit: audit.Record{Reason: "malformed"}}, reason: "malformed"},
	} {
		got := record(t, s, tc.unlock)
		want := audit.OutcomeDenied
		if tc.reason == "" {
			want = audit.OutcomeGranted
		}
		e := got.Record
		if e.Kind != audit.KindUnlock || e.Outcome != want || got.Granted() != (tc.reason == "") || e.Reason != tc.reason ||
			e.Retry != tc.retry || e.Rule != tc.rule || e.Details["first_grant"] != tc.original || e.Seq != int64(i)+1 {
			t.Errorf("%s: got %+v", tc.name, got)
		}
	}
	if _, err := s.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

func testUnlockRefusals(t *testing.T, d Database) {
	s := d.Open(t)
	for name, change := range map[string]func(*unlock.Record){
		"no nonce":             func(u *unlock.Record) { u.Nonce = nil },
		"stale nonce":          func(u *unlock.Record) { u.Nonce.Expires = time.Now().Add(-time.Hour) },
		"granted for a reason": func(u *unlock.Record) { u.Audit.Reason = "measurement" },
		"denied for none":      func(u *unlock.Record) { u.Claim = nil },
		"large report":         func(u *unlock.Record) { u.Audit.Report = make([]byte, audit.MaxReport+1) },
	} {
		u := GrantedOf(store.Launch{})
		change(&u)
		if decision, err := u.Write(t.Context(), s); !errors.Is(err, store.ErrInvalid) || decision.Granted() {
			t.Errorf("%s: got %+v, %v", name, decision, err)
		}
	}
	if head, err := s.AuditHead(t.Context()); err != nil || head.Seq != 0 {
		t.Errorf("got %s, %v", head, err)
	}
}

// When a batch cannot be written, nothing of it is granted nor used up.
func testFailedBatch(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	record(t, s, Granted(t, s))
	d.exec(t, q(`ALTER TABLE audit RENAME TO audit_away`)...)
	var unlocks []unlock.Record
	var wg sync.WaitGroup
	for range 20 {
		u := Granted(t, s)
		unlocks = append(unlocks, u)
		wg.Go(func() {
			if decision, err := u.Write(t.Context(), s); err == nil || decision.Granted() {
				t.Errorf("got %+v, %v", decision, err)
			}
		})
	}
	wg.Wait()
	if stats := s.Stats(); stats.Failures != 20 {
		t.Errorf("got %+v", stats)
	}
	d.exec(t, q(`ALTER TABLE audit_away RENAME TO audit`)...)
	for _, u := range unlocks {
		if decision := record(t, s, u); !decision.Granted() || decision.Retry {
			t.Errorf("afterwards: got %+v", decision)
		}
	}
	if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq != 21 {
		t.Errorf("got %s, %v", head, err)
	}
}

// Who gives up does not take others along.
func testCancelled(t *testing.T, d Database) {
	s := d.OpenStanding(t)
	launch := StandingLaunch(t, s)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if n%2 == 0 {
				go cancel()
			}
			switch decision, err := GrantedOf(launch).Write(ctx, s); {
			case err == nil && decision.Granted():
			case n%2 == 0 && errors.Is(err, context.Canceled) && !decision.Granted():
			default:
				t.Errorf("%d: got %+v, %v", n, decision, err)
			}
		})
	}
	wg.Wait()
	if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq < 50 {
		t.Errorf("got %s, %v", head, err)
	}
}

// Close writes what waits, and later records are refused.
func testClosing(t *testing.T, d Database) {
	d.OpenStanding(t)
	s, err := open(t.Context(), d.DSN, store.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	launch := StandingLaunch(t, s)
	acknowledged := make(chan string, 400)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for {
				u := GrantedOf(launch)
				_, err := u.Write(t.Context(), s)
				if errors.Is(err, audit.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case acknowledged <- u.Audit.RequestID:
				default:
				}
			}
		})
	}
	for range 50 {
		<-acknowledged
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	close(acknowledged)
	again := d.Open(t)
	for id := range acknowledged {
		if found, err := again.ListAudit(t.Context(), store.AuditFilter{RequestID: id}, store.AuditRange{}); err != nil || len(found) != 1 {
			t.Errorf("%s: got %d records, %v", id, len(found), err)
		}
	}
	if _, err := again.VerifyAudit(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

// Used nonces are forgotten some time after they expired, not before.
func testOldNonces(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.OpenStanding(t, store.Options{Now: clock.Now})
	u := Granted(t, s)
	u.Nonce.Expires = clock.Now().Add(time.Minute)
	nonces := func() string {
		var n int
		if err := d.Raw(t).QueryRowContext(t.Context(), `SELECT COUNT(*) FROM nonces`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(n)
	}
	record(t, s, u)
	clock.Advance(10*time.Minute + 59*time.Second)
	if got := record(t, s, u); got.Granted() || got.Reason != audit.ReasonNonceUsed || nonces() != "1" {
		t.Errorf("got %+v with %s nonces", got, nonces())
	}
	clock.Advance(time.Minute)
	record(t, s, unlock.Record{Audit: audit.Record{Reason: "any"}})
	if nonces() != "0" {
		t.Errorf("%s nonces are kept", nonces())
	}
	if decision, err := u.Write(t.Context(), s); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a forgotten nonce: got %+v, %v", decision, err)
	}
}
