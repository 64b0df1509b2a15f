// Package storetest is the suite that the store passes on every database, and
// starts the databases for it and for the tests of other packages.
package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Database is a database.
type Database struct {
	DSN string
	Key []byte // that authenticates its rows; RowKey when nil
}

// SQLite returns an empty database in a file.
func SQLite(t testing.TB) Database {
	return Database{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store #1?.db")}
}

// Postgres returns an empty database of a cluster.
func Postgres(t testing.TB, c *Cluster) Database {
	t.Helper()
	return Database{DSN: c.NewDatabase(t)}
}

// Open opens the database until the test ends.
func (d Database) Open(t testing.TB, options ...store.Options) *store.Store {
	t.Helper()
	if len(options) == 0 {
		options = []store.Options{{MaxConns: 8}}
	}
	key := d.Key
	if key == nil {
		key = RowKey()
	}
	s, err := openUnder(t.Context(), d.DSN, key, options[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// RowKey returns the key under which these tests authenticate rows.
func RowKey() []byte { return bytes.Repeat([]byte{7}, store.RowKeySize) }

// open opens a database under that key.
func open(ctx context.Context, dsn string, options store.Options) (*store.Store, error) {
	return openUnder(ctx, dsn, RowKey(), options)
}

func openUnder(ctx context.Context, dsn string, key []byte, options store.Options) (*store.Store, error) {
	s, err := store.Open(ctx, dsn, options)
	if err != nil {
		return nil, err
	}
	if err := s.Authenticate(ctx, key); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Raw opens the database without the store, as somebody who tampers with it.
func (d Database) Raw(t testing.TB) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", d.DSN
	if path, ok := strings.CutPrefix(d.DSN, "sqlite:"); ok {
		driver, dsn = "sqlite3", "file:"+strings.NewReplacer("#", "%23", "?", "%3f", " ", "%20").Replace(path)+"?_busy_timeout=10000"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // what it wrote is there
	return db
}

// query is a statement and its arguments.
type query struct {
	text string
	args []any
}

func q(text string, args ...any) []query { return []query{{text, args}} }

// exec runs statements as somebody who tampers with the database.
func (d Database) exec(t *testing.T, all ...query) {
	t.Helper()
	raw := d.Raw(t)
	for _, q := range all {
		if _, err := raw.ExecContext(t.Context(), q.text, q.args...); err != nil {
			t.Fatalf("%s: %v", q.text, err)
		}
	}
}

// Run runs the suite. newDatabase returns an empty database.
func Run(t *testing.T, newDatabase func(t *testing.T) Database) {
	for _, group := range []map[string]func(*testing.T, Database){
		imageTests(), releaseTests(), decisionTests(), channelTests(), artifactTests(), accessTests(), auditTests(), unlockTests(), openTests(), kdsTests(), overviewTests(), resealTests(), authenticateTests(), fleetTests(), instanceTests(),
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, newDatabase(t))
			})
		}
	}
}
