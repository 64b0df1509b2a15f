package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// load writes records until stop is called, which returns the last one.
func load(t *testing.T, s *store.Store) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	last := make(chan int64)
	first := make(chan struct{})
	launch := storetest.StandingLaunch(t, s)
	go func() {
		var seq int64
		for {
			decision, err := storetest.GrantedOf(launch).Write(ctx, s)
			if err != nil {
				last <- seq
				return
			}
			if seq = decision.Seq; seq == 1 {
				close(first)
			}
		}
	}()
	<-first
	return func() int64 { cancel(); return <-last }
}

// checkBackup checks that a copy is whole and has at least the record that was
// last when it was begun.
func checkBackup(t *testing.T, copied *store.Store, begun audit.Head) {
	t.Helper()
	head, err := copied.VerifyAudit(t.Context(), 1, nil)
	if err != nil || head.Seq < begun.Seq {
		t.Errorf("got %s, %v, want %d or more", head, err, begun.Seq)
	}
	if err := copied.VerifyAuditAgainst(t.Context(), begun); err != nil {
		t.Error(err)
	}
	if _, err := copied.ImageByName(t.Context(), "image"); err != nil {
		t.Error(err)
	}
	if i, err := copied.InstanceByName(t.Context(), "web-1"); err != nil || len(i.ShareSealed) == 0 {
		t.Errorf("got %+v, %v", i, err)
	}
	if err := copied.VerifyRows(t.Context()); err != nil {
		t.Error(err)
	}
	if decision, err := storetest.Granted(t, copied).Write(t.Context(), copied); err != nil || !decision.Granted() {
		t.Errorf("got %+v, %v", decision, err)
	}
}

func begin(t *testing.T, s *store.Store) audit.Head {
	t.Helper()
	image := storetest.Image("image")
	image.Instances = storetest.Named()
	if _, _, err := s.CreateImage(t.Context(), image, storetest.Release("f", "k", "i"), storetest.Present); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateInstance(t.Context(), storetest.Instance(image.ID, "web-1")); err != nil {
		t.Fatal(err)
	}
	head, err := s.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func TestBackupSQLite(t *testing.T) {
	d := storetest.SQLite(t)
	s := d.OpenStanding(t)
	stop := load(t, s)
	begun := begin(t, s)
	dir := t.TempDir()
	path := filepath.Join(dir, "backup #1.db")
	if at, err := s.LastBackup(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("last backup: %s, %v", at, err)
	}
	for range 2 { // the second replaces the first
		if err := store.Backup(t.Context(), d.DSN, path); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if at, err := s.LastBackup(t.Context()); err != nil || at.IsZero() {
		t.Errorf("last backup: %s, %v", at, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("got %v, %v, want the backup alone", files, err)
	}
	checkBackup(t, storetest.Database{DSN: path}.Open(t), begun)
	if err := store.Backup(t.Context(), d.DSN, filepath.Join(dir, "no", "such")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	absent := filepath.Join(dir, "absent.db")
	if err := store.Backup(t.Context(), absent, path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no database: got %v", err)
	}
	if _, err := os.Stat(absent); !os.IsNotExist(err) {
		t.Errorf("a database was made: %v", err)
	}
}

// TestBackupChangesNothing copies a database that this program may not open, since
// another version wrote it.
func TestBackupChangesNothing(t *testing.T) {
	d, copied := storetest.SQLite(t), storetest.SQLite(t)
	d.Open(t)
	if _, err := d.Raw(t).ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)`); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), d.DSN, strings.TrimPrefix(copied.DSN, "sqlite:")); err != nil {
		t.Fatal(err)
	}
	var version int
	if err := copied.Raw(t).QueryRowContext(t.Context(), `SELECT MAX(version_id) FROM goose_db_version`).Scan(&version); err != nil || version != 999 {
		t.Errorf("version %d, %v", version, err)
	}
}

// schemaOf returns the schema of a test's database.
func schemaOf(d storetest.Database) string { return d.DSN[strings.LastIndex(d.DSN, "=")+1:] }

// TestBackupPostgres does what docs tell an operator to.
func TestBackupPostgres(t *testing.T) {
	d := storetest.Postgres(t, &cluster)
	s := d.OpenStanding(t)
	if err := store.Backup(t.Context(), d.DSN, "x"); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	stop := load(t, s)
	begun := begin(t, s)
	dump := cluster.Dump(t, d.DSN)
	stop()
	dump = bytes.ReplaceAll(dump, []byte(schemaOf(d)), []byte("restored"))
	checkBackup(t, storetest.Database{DSN: cluster.Restore(t, bytes.NewReader(dump), "restored")}.Open(t), begun)
}
