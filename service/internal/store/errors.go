package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Errors that callers branch on. Every other error is a failure of the database.
var (
	ErrNotFound     = errors.New("not found")
	ErrNameTaken    = errors.New("name is taken")
	ErrExists       = errors.New("exists already")
	ErrDeleted      = errors.New("was deleted, and does not come back")
	ErrChanged      = errors.New("changed in the meantime")
	ErrInvalid      = audit.ErrInvalid // records are refused with it too
	ErrCursor       = errors.New("invalid cursor")
	ErrCorrupt      = errors.New("damaged row")
	ErrArtifactGone = errors.New("artifact was deleted in the meantime")
	ErrNewer        = errors.New("database was written by a newer version of this program")
	ErrUnsupported  = errors.New("not supported by this database")
)

// sqlStateUnique is PostgreSQL's unique_violation.
const sqlStateUnique = "23505"

// isUnique reports whether a row was refused because its like is there.
func isUnique(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == sqlStateUnique
	}
	var lite sqlite3.Error
	return errors.As(err, &lite) &&
		(lite.ExtendedCode == sqlite3.ErrConstraintUnique || lite.ExtendedCode == sqlite3.ErrConstraintPrimaryKey)
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
