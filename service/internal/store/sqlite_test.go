package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", ":memory:", "sqlite::memory:", "file:x", "sqlite:file:x", "mysql://host/db", "a\x00b", "postgres://user@host:port/"} {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err == nil {
			err = s.Close()
		}
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: got %v", dsn, err)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"plain.db", filepath.Join(dir, "absolute.db"), "100% #1?x=y&z.db", "ä;\\.db"} {
		for _, prefix := range []string{"", "sqlite:"} {
			storetest.Database{DSN: prefix + name}.Open(t)
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := store.Open(t.Context(), "no/such/directory/x.db", store.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestSQLiteMode looks at the files while the database is open: nobody else may
// read them.
func TestSQLiteMode(t *testing.T) {
	dir := t.TempDir()
	d := storetest.Database{DSN: filepath.Join(dir, "x.db")}
	s := d.OpenStanding(t)
	if _, err := storetest.Granted(t, s).Write(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %s, %v", f.Name(), info.Mode(), err)
		}
		names = append(names, f.Name())
	}
	if got := strings.Join(names, " "); got != "x.db x.db-shm x.db-wal x.db.lock" {
		t.Errorf("got %s", got)
	}
}

// TestSQLiteSettings reads what keeps records safe.
func TestSQLiteSettings(t *testing.T) {
	s := storetest.SQLite(t).Open(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000", "query_only": "0",
		"wal_autocheckpoint": "8000", "journal_size_limit": "67108864", "cache_size": "-32000", "secure_delete": "1"} {
		if got := store.Pragma(t, s, pragma); got != want {
			t.Errorf("%s: got %s, want %s", pragma, got, want)
		}
	}
	if err := store.WriteByReader(t, s); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a reader writes: %v", err)
	}
}

// TestSQLiteCorrupt opens what is no database.
func TestSQLiteCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), path, store.Options{})
	if err == nil {
		t.Error(s.Close())
	}
}
