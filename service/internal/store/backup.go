package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
)

// Backup writes a copy of a SQLite database to a file, in place of one that is
// there: as it is at one moment, while others go on writing. It is opened like
// any database. Artifacts in files are not part of it. The error wraps
// ErrUnsupported on PostgreSQL, which pg_dump backs up.
func (s *Store) Backup(ctx context.Context, path string) error {
	if err := s.location.backup(ctx, path); err != nil {
		return fmt.Errorf("back up database: %w", err)
	}
	return nil
}

func (postgresURL) backup(context.Context, string) error {
	return fmt.Errorf("%w: use pg_dump", ErrUnsupported)
}

func (p sqlitePath) backup(ctx context.Context, path string) error {
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
