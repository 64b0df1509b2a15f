package storetest

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func openTests() map[string]func(*testing.T, Database) {
	return map[string]func(*testing.T, Database){
		"open at once": testOpenAtOnce,
		"open newer":   testOpenNewer,
		"open again":   testOpenAgain,
		"open locked":  testNotMigrated,
		"counts":       testCounts,
	}
}

// Many replicas start on an empty database at the same time.
func testOpenAtOnce(t *testing.T, d Database) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), d.DSN, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(s.Ping(t.Context()), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A database that a newer program has migrated is left alone.
func testOpenNewer(t *testing.T, d Database) {
	d.Open(t)
	d.exec(t, q(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, TRUE)`)...)
	s, err := store.Open(t.Context(), d.DSN, store.Options{})
	if err == nil {
		err = s.Close()
	}
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "999") {
		t.Errorf("got %v", err)
	}
}

func testOpenAgain(t *testing.T, d Database) {
	s, err := open(t.Context(), d.DSN, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	image, release := create(t, s, Image("image"), Release("f", "k", "i"))
	u := GrantedOf(launchOf(t, s, image, release))
	record(t, s, u)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	s = d.Open(t)
	if _, err := s.ImageByID(t.Context(), image.ID); err != nil {
		t.Error(err)
	}
	if got := record(t, s, u); got.Granted() || got.Seq != 2 {
		t.Errorf("got %+v", got)
	}
	if string(s.Backend()) != strings.NewReplacer("postgres:", "postgres ", "sqlite:", "sqlite ").Replace(d.DSN)[:len(s.Backend())] {
		t.Errorf("%s is %s", d.DSN, s.Backend())
	}
}

// Ping fails when the tables are not there.
func testNotMigrated(t *testing.T, d Database) {
	s := d.Open(t)
	d.exec(t, q(`ALTER TABLE audit_head RENAME TO away`)...)
	if err := s.Ping(t.Context()); err == nil {
		t.Error("ready without its tables")
	}
}

func testCounts(t *testing.T, d Database) {
	s := d.Open(t)
	image, _ := create(t, s, Image("first"), Release("f", "k", "i"))
	create(t, s, Image("second"), Release("f", "k", "i"))
	if _, err := s.AddRelease(t.Context(), image.ID, Release("f", "k", "i"), Present); err != nil {
		t.Fatal(err)
	}
	newToken(t, s, Token("ci"))
	record(t, s, Denied("vmpl"))
	want := store.Counts{Images: 2, Releases: 3, Tokens: 1, AuditRecords: 1}
	if got, err := s.Count(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if stats := s.Stats(); stats.Records != 1 || stats.Batches != 1 || stats.Write.MaxOpenConnections == 0 || stats.Read.MaxOpenConnections != 8 {
		t.Errorf("got %+v", stats)
	}
}
