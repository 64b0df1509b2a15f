package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // driver "sqlite3"
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
	}
	for i := 0; i+1 < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return "file:" + (&url.URL{Path: string(p)}).EscapedPath() + "?" + values.Encode()
}

func (p sqlitePath) connect(options Options) (write, read *sql.DB, err error) {
	if write, err = p.open(1); err != nil {
		return nil, nil, err
	}
	if read, err = sql.Open("sqlite3", p.dsn("_query_only", "on", "_txlock", "deferred")); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(options.MaxConns)
	read.SetMaxIdleConns(options.MaxConns)
	return write, read, nil
}

// open returns a pool of connections that may write.
func (p sqlitePath) open(conns int) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", p.dsn())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
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
	db, err := p.open(1)
	if err != nil {
		return err
	}
	defer closing(db)
	return migrate(ctx, db, goose.DialectSQLite3)
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
