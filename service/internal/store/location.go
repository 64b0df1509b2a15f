package store

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
)

// Backend is a kind of database.
type Backend string

// The backends.
const (
	SQLite   Backend = "sqlite"
	Postgres Backend = "postgres"
)

// location is where a database is.
type location interface {
	backend() Backend

	// migrate brings the database up to date, and makes it where it can.
	migrate(ctx context.Context) error

	// connect returns pools for writing and for reading, which may be one.
	connect(Options) (write, read *sql.DB, err error)

	// backup writes a copy to a new file.
	backup(ctx context.Context, path string) error
}

// scheme begins the URL of a database.
var scheme = regexp.MustCompile(`^[a-z0-9+]+://`)

func parseDSN(dsn string) (location, error) {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		return postgresURL(dsn), nil
	case strings.HasPrefix(dsn, "sqlite:"):
		return sqlitePath(strings.TrimPrefix(dsn, "sqlite:")).checked()
	case scheme.MatchString(dsn):
		kind, _, _ := strings.Cut(dsn, "://")
		return nil, invalidf("unknown kind of database %.20q, want sqlite:PATH or postgres://URL", kind)
	}
	return sqlitePath(dsn).checked()
}

func (p sqlitePath) checked() (location, error) {
	if p == "" || strings.HasPrefix(string(p), ":memory:") || strings.HasPrefix(string(p), "file:") || strings.ContainsRune(string(p), 0) {
		return nil, invalidf("want the path of a database file, not %.40q", string(p))
	}
	return p, nil
}
