package store

import (
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// SynchronousCommit returns the setting of a connection.
func SynchronousCommit(t *testing.T, s *Store) string {
	t.Helper()
	return text(t, s, `SHOW synchronous_commit`)
}

// Pragma returns a setting of the connection that writes.
func Pragma(t *testing.T, s *Store, name string) string {
	t.Helper()
	return text(t, s, `PRAGMA `+name)
}

func text(t *testing.T, s *Store, query string) string {
	t.Helper()
	var text string
	if err := s.write.QueryRowContext(t.Context(), query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// RecordTogether writes records in one transaction, as those are that wait at the
// same time.
func RecordTogether(t *testing.T, s *Store, unlocks []Unlock) []audit.Entry {
	t.Helper()
	for i := range unlocks {
		var err error
		if unlocks[i].Audit, err = unlocks[i].checked(s.clock()); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := s.commit(t.Context(), unlocks)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// WriteByReader tries to write with a connection that reads.
func WriteByReader(t *testing.T, s *Store) error {
	t.Helper()
	_, err := s.read.ExecContext(t.Context(), `UPDATE audit_head SET seq = seq`)
	return err
}
