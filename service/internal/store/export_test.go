package store

import "testing"

// SynchronousCommit returns the setting of a connection.
func SynchronousCommit(t *testing.T, s *Store) string {
	t.Helper()
	var setting string
	if err := s.write.QueryRowContext(t.Context(), `SHOW synchronous_commit`).Scan(&setting); err != nil {
		t.Fatal(err)
	}
	return setting
}
