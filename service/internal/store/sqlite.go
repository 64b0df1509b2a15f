package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
)

// sqlitePath is the path of a database file.
type sqlitePath string

func (sqlitePath) backend() Backend { return SQLite }

// dsn returns the data source name for the driver. A commit is on the disk when
// it returns (synchronous=FULL), and a transaction takes the write lock when it
// begins, so that it never has to be given up half-way.
func (p sqlitePath) dsn(more ...string) string {
	values := url.Values{
		"_journal_mode":    {"WAL"},
		"_synchronous":     {"FULL"},
		"_foreign_keys":    {"on"},
		"_busy_timeout":    {"10000"}, // ms; other processes hold the lock for one transaction at most
		"_txlock":          {"immediate"},
		"_stmt_cache_size": {"64"},
		"_secure_delete":   {"on"}, // what is deleted is overwritten: shares of instances' keys
	}
	for i := 0; i+1 < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return "file:" + (&url.URL{Path: string(p)}).EscapedPath() + "?" + values.Encode()
}

func (p sqlitePath) connect(options Options) (write, read *sql.DB, err error) {
	read = pool(p.dsn("_query_only", "on", "_txlock", "deferred"), options.MaxConns)
	return p.writer(), read, nil
}

// writer returns a pool of the one connection that writes.
func (p sqlitePath) writer() *sql.DB { return pool(p.dsn("_cache_size", "-32000"), 1) } // KiB

func pool(dsn string, conns int) *sql.DB {
	db := sql.OpenDB(sqliteConnector(dsn))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// sqliteConnector makes connections of a data source name.
type sqliteConnector string

// Driver implements driver.Connector.
func (sqliteConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{ConnectHook: tuneWAL} }

// Connect implements driver.Connector.
func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	return c.Driver().Open(string(c))
}

// tuneWAL lets the log grow to 8000 pages (32 MB) before they are copied into the
// database: unlocks change the same few pages over and over. After a rush the file
// shrinks to 64 MB again.
func tuneWAL(conn *sqlite3.SQLiteConn) error {
	_, err := conn.Exec(`PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864`, nil)
	return err
}

func (p sqlitePath) migrate(ctx context.Context) error {
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.create(); err != nil {
		return err
	}
	db := p.writer()
	defer closing(db)
	if err := migrate(ctx, db, goose.DialectSQLite3); err != nil {
		return fmt.Errorf("%s: %w", string(p), err)
	}
	return nil
}

// create makes an empty database file that its owner alone may read; SQLite
// gives its other files the same mode. A file that is there is not even opened:
// closing it would drop the locks that this process has on it.
func (p sqlitePath) create() error {
	f, err := os.OpenFile(string(p), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// lock keeps other processes from migrating the same file. The lock file stays:
// removing it would let two processes hold locks on different files.
func (p sqlitePath) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(string(p)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", filepath.Base(string(p)), err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || !pause(ctx, lockPoll) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", filepath.Base(string(p)), err)
		}
	}
}
