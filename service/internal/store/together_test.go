package store_test

import (
	"context"
	"fmt"
	"testing"

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
