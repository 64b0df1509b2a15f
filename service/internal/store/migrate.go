package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

// migrations are run in order of their numbers, each once. Those that were
// released never change; replicas of the version before keep working on the
// tables of the next one, so columns are added first and dropped a version later.
//
//go:embed migrations/*.sql
var migrations embed.FS

// lockPoll is how often a lock is tried that another process holds.
const lockPoll = 50 * time.Millisecond

// newMigrator returns what runs the migrations on a database.
func newMigrator(db *sql.DB, dialect goose.Dialect) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// migrate brings a database up to date. The caller holds a lock against other
// processes. The error wraps ErrNewer.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect) error {
	migrator, err := newMigrator(db, dialect)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	have, want, err := migrator.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read version of the database: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w: it has version %d, this program knows %d; start the newer program, or restore the backup made before the upgrade", ErrNewer, have, want)
	}
	if _, err := migrator.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", have, want, err)
	}
	return nil
}

// closing closes what has served its purpose; its error changes nothing.
func closing(c io.Closer) { _ = c.Close() }
