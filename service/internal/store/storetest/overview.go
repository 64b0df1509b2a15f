package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func overviewTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"unlock counts":          testUnlockCounts,
		"replicas":               testReplicas,
		"image activity":         testImageActivity,
		"common labels":          testCommonLabels,
		"KDS counts":             testKDSCounts,
		"audit by skewed clocks": testSkewedClocks,
	}
}

func count(t *testing.T, s *store.Store, since time.Time) []store.UnlockCount {
	t.Helper()
	counts, err := s.UnlockCounts(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func testUnlockCounts(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.OpenStanding(t, store.Options{Now: clock.Now})
	first := clock.Now().Truncate(time.Hour)
	record(t, s, Denied("measurement"))
	record(t, s, Denied("measurement"))
	record(t, s, Denied("binding"))
	clock.Advance(time.Hour)
	record(t, s, Granted(t, s))
	record(t, s, Denied("binding"))
	recordAll(t, s, audit.Record{Outcome: audit.OutcomeDenied, Reason: "password.wrong"}) // no unlock
	want := []store.UnlockCount{
		{Hour: first, Outcome: "denied", Reason: "binding", Records: 1},
		{Hour: first, Outcome: "denied", Reason: "measurement", Records: 2},
		{Hour: first.Add(time.Hour), Outcome: "denied", Reason: "binding", Records: 1},
		{Hour: first.Add(time.Hour), Outcome: "granted", Records: 1},
	}
	if got := count(t, s, first); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := count(t, s, first.Add(90*time.Minute)); !reflect.DeepEqual(got, want[2:]) {
		t.Errorf("since the second hour: got %+v", got)
	}
}

func testReplicas(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	start := clock.Now()
	a := store.Replica{ID: wire.NewUUID(), Name: "a", Version: "v1", StartedAt: start}
	b := store.Replica{ID: wire.NewUUID(), Name: "b", Version: "v2", StartedAt: start.Add(time.Second)}
	see := func(replicas ...store.Replica) {
		t.Helper()
		for _, r := range replicas {
			if err := s.SeeReplica(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(replicas ...store.Replica) {
		t.Helper()
		if got, err := s.ListReplicas(t.Context()); err != nil || !reflect.DeepEqual(got, replicas) {
			t.Errorf("got %+v, %v, want %+v", got, err, replicas)
		}
	}
	see(b, a)
	clock.Advance(time.Minute)
	see(a)
	a.SeenAt, b.SeenAt = clock.Now(), start
	want(a, b)
	clock.Advance(24 * time.Hour)
	see(a)
	a.SeenAt = clock.Now()
	want(a)
	if err := errors.Join(s.LeaveReplica(t.Context(), a.ID), s.LeaveReplica(t.Context(), b.ID)); err != nil {
		t.Error(err)
	}
	want()
	for _, r := range []store.Replica{{ID: a.ID, Version: "v1"}, {ID: a.ID, Name: "a"}, {ID: a.ID, Name: "a", Version: strings.Repeat("v", store.MaxName+1)}} {
		if err := s.SeeReplica(t.Context(), r); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: got %v", r, err)
		}
	}
}

func testImageActivity(t *testing.T, d Database) {
	clock := NewClock(time.Second)
	s := d.OpenStanding(t, store.Options{Now: clock.Now})
	busy, _ := create(t, s, Image("busy"), Release("f", "k", "i"))
	idle, _ := create(t, s, Image("idle"), Release("f", "k", "i"))
	if _, err := s.AddRelease(t.Context(), busy.ID, Release("f", "k", "i"), Present); err != nil {
		t.Fatal(err)
	}
	var want store.ImageActivity
	for _, u := range []unlock.Record{Granted(t, s), Denied("vmpl"), Granted(t, s)} {
		u.Audit.ImageID = busy.ID
		decision := record(t, s, u)
		if want.GrantedAt = decision.Time; !decision.Granted() {
			want.DeniedAt = decision.Time
		}
	}
	want.Releases = 2
	unknown := Image("unknown")
	names, err := s.ImageNames(t.Context(), []wire.UUID{busy.ID, unknown.ID, idle.ID, busy.ID})
	if err != nil || !maps.Equal(names, map[wire.UUID]string{busy.ID: "busy", idle.ID: "idle"}) {
		t.Errorf("names: got %v, %v", names, err)
	}
	got, err := s.ImageActivity(t.Context(), []store.Image{busy, idle, unknown})
	if err != nil || len(got) != 2 || got[busy.ID] != want || got[idle.ID] != (store.ImageActivity{Releases: 1}) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := s.ImageActivity(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of none: got %+v, %v", got, err)
	}
	if _, err := s.ImageActivity(t.Context(), make([]store.Image, store.MaxPage+1)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("of too many: got %v", err)
	}
}

func testKDSCounts(t *testing.T, d Database) {
	cache := d.Open(t).KDSCache()
	if got, err := cache.Counts(t.Context()); err != nil || got != (store.KDSCounts{}) {
		t.Errorf("of an empty cache: got %+v, %v", got, err)
	}
	chain, chainErr := kds.ChainKey(snp.Milan, snp.SignedByVCEK)
	crl, crlErr := kds.CRLKey(snp.Milan, snp.SignedByVCEK)
	vcek, vcekErr := kds.VCEKKey(snp.Milan, [snp.ChipIDSize]byte{1}, snp.TCB{})
	if err := errors.Join(chainErr, crlErr, vcekErr); err != nil {
		t.Fatal(err)
	}
	newest := time.Date(2026, time.January, 2, 0, 0, 0, 0, time.UTC)
	for i, key := range []kds.Key{vcek, chain, crl} {
		if err := cache.Put(t.Context(), key, kds.Entry{Data: []byte("x"), FetchedAt: newest.AddDate(0, 0, -i)}); err != nil {
			t.Fatal(err)
		}
	}
	want := store.KDSCounts{VCEKs: 1, Chains: 1, CRLs: 1, Newest: newest}
	if got, err := cache.Counts(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Records of a replica whose clock is fast come between those of others.
func testSkewedClocks(t *testing.T, d Database) {
	clock := NewClock(0)
	s := d.Open(t, store.Options{Now: clock.Now})
	begin := clock.Now()
	for _, minute := range []int{0, 40, 10, 50, 20, 30} {
		clock.Advance(begin.Add(time.Duration(minute) * time.Minute).Sub(clock.Now()))
		recordAll(t, s, audit.Record{Outcome: audit.OutcomeDone})
	}
	at := func(minute int) time.Time { return begin.Add(time.Duration(minute) * time.Minute) }
	for _, tc := range []struct {
		since, until int
		want         []int64
	}{{0, 60, []int64{6, 5, 4, 3, 2, 1}}, {30, 60, []int64{6, 4, 2}}, {0, 30, []int64{5, 3, 1}}, {10, 41, []int64{6, 5, 3, 2}}, {51, 60, nil}} {
		got, err := s.ListAudit(t.Context(), store.AuditFilter{Since: at(tc.since), Until: at(tc.until)}, store.AuditRange{})
		if err != nil || !slices.Equal(numbers(got), tc.want) {
			t.Errorf("minutes %d to %d: got %v, %v, want %v", tc.since, tc.until, numbers(got), err, tc.want)
		}
	}
}

// Labels that many images have are looked for in another way.
func testCommonLabels(t *testing.T, d Database) {
	s := d.Open(t)
	create(t, s, labelled("common first", "common"), Release("f", "k", "i"))
	create(t, s, labelled("rare", "rare"), Release("f", "k", "i"))
	if _, err := s.Audited(t.Context(), func(ctx context.Context) (audit.Record, error) {
		for n := range 2000 {
			if _, _, err := s.CreateImage(ctx, labelled(fmt.Sprint("common ", n), "common"), Release("f", "k", "i"), Present); err != nil {
				return audit.Record{}, err
			}
		}
		return audit.Record{Outcome: audit.OutcomeDone}, nil
	}); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]int{"common": 2001, "rare": 1, "none": 0} {
		filter, n := store.ImageFilter{Labels: map[string]string{"kind": kind}, Limit: store.MaxPage}, 0
		for {
			page, err := s.ListImages(t.Context(), filter)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range page.Items {
				if i.Labels["kind"] != kind {
					t.Errorf("%s: found %s with %v", kind, i.Name, i.Labels)
				}
			}
			n += len(page.Items)
			if filter.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if n != want {
			t.Errorf("%s: found %d images, want %d", kind, n, want)
		}
	}
}

func labelled(name, kind string) store.Image {
	i := Image(name)
	i.Labels = map[string]string{"kind": kind}
	return i
}
