package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

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
	if err := errors.Join(err, part.Cleanup()); err != nil {
		return err
	}
	return p.noteBackup(ctx)
}

// settingBackup is the name of the setting that says when the last backup was
// made, in microseconds since 1970.
const settingBackup = "last-backup"

// noteBackup lets the running service know, for its metrics.
func (p sqlitePath) noteBackup(ctx context.Context) error {
	db := p.writer()
	defer closing(db)
	_, err := db.ExecContext(ctx, `INSERT INTO settings (name, content) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET content = excluded.content`,
		settingBackup, strconv.AppendInt(nil, time.Now().UnixMicro(), 10))
	return err
}

// LastBackup returns when Backup last copied this database, the zero time for
// never. The error wraps ErrCorrupt.
func (s *Store) LastBackup(ctx context.Context) (time.Time, error) {
	content, err := s.Setting(ctx, settingBackup)
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := strconv.ParseInt(string(content), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s", ErrCorrupt, settingBackup)
	}
	return time.UnixMicro(at).UTC(), nil
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
