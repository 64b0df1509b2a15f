package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// kept is a log that keeps what it should record.
type kept []store.Unlock

func (k *kept) RecordUnlock(_ context.Context, u store.Unlock) (audit.Entry, error) {
	*k = append(*k, u)
	return audit.Entry{}, nil
}

// TestDecideTogether has unlocks in one transaction that depend on each other.
func TestDecideTogether(t *testing.T) {
	for name, newDatabase := range map[string]func(*testing.T) storetest.Database{"sqlite": newSQLite, "postgres": newPostgres} {
		t.Run(name, func(t *testing.T) {
			s := newDatabase(t).OpenStanding(t)
			first, sameNonce, otherKey, retry, denied, deniedNonce := storetest.Granted(t, s), storetest.Granted(t, s), storetest.Granted(t, s),
				storetest.Granted(t, s), storetest.Denied("measurement"), storetest.Granted(t, s)
			sameNonce.Nonce = first.Nonce
			otherKey.Claim.ReportID, otherKey.Claim.ReleaseID = first.Claim.ReportID, first.Claim.ReleaseID
			retry.Claim = first.Claim
			deniedNonce.Nonce = denied.Nonce
			var got []string
			var together kept
			for _, r := range []unlock.Record{first, sameNonce, otherKey, retry, denied, deniedNonce} {
				if _, err := r.Write(t.Context(), &together); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range store.RecordTogether(t, s, together) {
				got = append(got, fmt.Sprintf("%d %t %s %s", d.Seq, d.Retry, d.Outcome, d.Reason))
			}
			want := []string{
				"1 false granted ", "2 false denied nonce_used", "3 false denied report_id_released", "4 true granted ",
				"5 false denied measurement", "6 false denied nonce_used",
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if head, err := s.VerifyAudit(t.Context(), 1, nil); err != nil || head.Seq != 6 {
				t.Errorf("got %s, %v", head, err)
			}
		})
	}
}

// TestUseTogether has boots of instances in one transaction: each sees the ones before
// it, and the last is kept.
func TestUseTogether(t *testing.T) {
	for name, newDatabase := range map[string]func(*testing.T) storetest.Database{"sqlite": newSQLite, "postgres": newPostgres} {
		t.Run(name, func(t *testing.T) {
			s := newDatabase(t).Open(t)
			image := storetest.Image("image")
			image.Instances = storetest.Named()
			image, release, err := s.CreateImage(t.Context(), image, storetest.Release("f", "k", "i"), storetest.Present)
			if err != nil {
				t.Fatal(err)
			}
			launch, err := s.FindLaunch(t.Context(), image.IDKeyDigest, image.AuthorKeyDigest, release.ID)
			if err != nil {
				t.Fatal(err)
			}
			one, two := storetest.Instance(image.ID, "one"), storetest.Instance(image.ID, "two")
			for _, i := range []store.Instance{one, two} {
				if _, err := s.CreateInstance(t.Context(), i); err != nil {
					t.Fatal(err)
				}
			}
			first, second, other, unknown := storetest.InstanceUnlock(launch, one.ID), storetest.InstanceUnlock(launch, one.ID),
				storetest.InstanceUnlock(launch, two.ID), storetest.InstanceUnlock(launch, wire.NewUUID())
			retry := storetest.InstanceUnlock(launch, one.ID)
			retry.Claim = first.Claim
			got := store.RecordTogether(t, s, []store.Unlock{first, second, other, unknown, retry})
			for n, want := range []string{strings.Repeat("0", 64), fmt.Sprintf("%x", first.Claim.ReportID), strings.Repeat("0", 64), "", fmt.Sprintf("%x", second.Claim.ReportID)} {
				if got[n].Granted() != (n != 3) || got[n].Retry != (n == 4) || n != 3 && got[n].Found != want {
					t.Errorf("%d: got %+v", n, got[n].Record)
				}
			}
			for id, want := range map[wire.UUID]store.Boot{one.ID: second.Instance.Boot, two.ID: other.Instance.Boot} {
				i, err := s.InstanceByID(t.Context(), id)
				if want.At = got[0].Time; err != nil || i.Granted != want {
					t.Errorf("got %+v, %v, want %+v", i.Granted, err, want)
				}
			}
			if err := s.VerifyRows(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
