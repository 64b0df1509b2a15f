package store_test

import (
	"fmt"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// TestDecideTogether has unlocks in one transaction that depend on each other.
func TestDecideTogether(t *testing.T) {
	for name, newDatabase := range map[string]func(*testing.T) storetest.Database{"sqlite": newSQLite, "postgres": newPostgres} {
		t.Run(name, func(t *testing.T) {
			s := newDatabase(t).OpenStanding(t)
			first, sameNonce, otherKey, retry, denied, deniedNonce := storetest.Granted(t, s), storetest.Granted(t, s), storetest.Granted(t, s),
				storetest.Granted(t, s), storetest.Denied("measurement"), storetest.Granted(t, s)
			sameNonce.Nonce = first.Nonce
			otherKey.Grant.ReportID, otherKey.Grant.ReleaseID = first.Grant.ReportID, first.Grant.ReleaseID
			retry.Grant = first.Grant
			deniedNonce.Nonce = denied.Nonce
			var got []string
			for _, d := range store.RecordTogether(t, s, []store.UnlockRecord{first, sameNonce, otherKey, retry, denied, deniedNonce}) {
				got = append(got, fmt.Sprintf("%d %t %s %s", d.Entry.Seq, d.Entry.Retry, d.Entry.Outcome, d.Entry.Reason))
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
