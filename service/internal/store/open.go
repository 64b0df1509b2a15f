package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// Options change what Open does; the zero value is good.
type Options struct {
	// MaxConns bounds the connections to PostgreSQL, and SQLite's readers. It
	// is 16 when zero.
	MaxConns int

	// MaxMachines bounds the machines that are kept of an image: a new one takes the
	// place of the one that was not seen for longest. It is 100,000 when zero.
	MaxMachines int64

	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// defaultMaxConns leaves several replicas room below PostgreSQL's usual 100.
const defaultMaxConns = 16

// defaultMaxMachines is what root in one guest of an image can fill.
const defaultMaxMachines = 100_000

// Store is an open database. Its methods are safe for concurrent use; other
// processes may have the same database open.
type Store struct {
	location  location
	write     *sql.DB // SQLite: one connection
	read      *sql.DB // PostgreSQL: the same as write
	now       func() time.Time
	committer *audit.Committer[Unlock, audit.Entry]
	pruned    time.Time // when nonces were forgotten last; of commit alone

	sightings   *audit.Committer[Sighting, Sighted]
	swept       time.Time // when nonces were forgotten last; of commitSightings alone
	maxMachines int64

	rowKey rowKey       // set by Authenticate
	seen   atomic.Int64 // the last record that was the end of the log
	broken atomic.Bool  // rows did not add up, see VerifyRows
}

// Open opens the database, makes it when it is a SQLite file that is not there,
// and brings it up to date. dsn is sqlite:PATH, a plain path, or a PostgreSQL
// URL. The error wraps ErrNewer when a newer program has been there.
func Open(ctx context.Context, dsn string, options Options) (*Store, error) {
	s, err := open(ctx, dsn, options)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, dsn string, options Options) (*Store, error) {
	location, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if options.MaxConns <= 0 {
		options.MaxConns = defaultMaxConns
	}
	if options.MaxMachines <= 0 {
		options.MaxMachines = defaultMaxMachines
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if err := location.migrate(ctx); err != nil {
		return nil, err
	}
	s := &Store{location: location, now: options.Now, maxMachines: options.MaxMachines}
	if s.write, s.read, err = location.connect(options); err != nil {
		return nil, err
	}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(err, s.closePools())
	}
	s.committer = audit.NewCommitter(s.commit)
	s.sightings = audit.NewCommitter(s.commitSightings)
	return s, nil
}

// Backend returns the kind of the database.
func (s *Store) Backend() Backend { return s.location.backend() }

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, func(ctx context.Context, q querier) error {
		var seq int64
		if err := q.QueryRowContext(ctx, `SELECT seq FROM audit_head WHERE id = 1`).Scan(&seq); err != nil {
			return fmt.Errorf("ping database: %w", err)
		}
		return nil
	})
}

// Close commits what waits to be recorded and closes the database. Records that
// come later get audit.ErrClosed.
func (s *Store) Close() error {
	s.committer.Close()
	s.sightings.Close()
	return s.closePools()
}

func (s *Store) closePools() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return err
}

// clock returns the time in the precision that the database keeps.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
