package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
)

// Backup writes a copy of a SQLite database to a file, in place of one that is
// there: as it is at one moment, while others go on writing. The database is not
// brought up to date; the copy is when it is opened. Artifacts in files are not
// part of it. The error wraps ErrUnsupported on PostgreSQL, which pg_dump backs
// up, or fs.ErrNotExist.
func Backup(ctx context.Context, dsn, path string) error {
	location, err := parseDSN(dsn)
	if err == nil {
		err = location.backup(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("back up database: %w", err)
	}
	return nil
}

func (postgresURL) backup(context.Context, string) error {
	return fmt.Errorf("%w: use pg_dump", ErrUnsupported)
}

func (p sqlitePath) backup(ctx context.Context, path string) error {
	// A connection would make a database that is not there.
	if _, err := os.Stat(string(p)); err != nil {
		return err
	}
	// The copy is made beside its place, by a connection of its own, which
	// keeps nobody from writing.
	part, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	err = p.copyTo(ctx, part.Name())
	if err == nil {
		err = part.CloseAtomicallyReplace() // syncs it first
	}
	return errors.Join(err, part.Cleanup())
}

func (p sqlitePath) copyTo(ctx context.Context, path string) error {
	// SQLite takes an empty file.
	if err := os.Truncate(path, 0); err != nil {
		return err
	}
	db := p.writer()
	defer closing(db)
	_, err := db.ExecContext(ctx, `VACUUM INTO $1`, path)
	return err
}
