package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// VerifyRows reads all rows that decisions rest on, as they are at one moment, and
// checks that the service wrote each of them and that they are the ones that there
// should be: none is missing or was put back as it was earlier. A database that fails
// grants and records nothing more in this process. The error wraps ErrTampered.
func (s *Store) VerifyRows(ctx context.Context) error {
	err := retry(ctx, func() error { return s.verifyRows(ctx) })
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrCorrupt) {
		s.broken.Store(true)
	}
	if err != nil {
		return fmt.Errorf("verify rows: %w", err)
	}
	return nil
}

func (s *Store) verifyRows(ctx context.Context) error {
	// What is read is of one moment: SQLite reads so anyhow.
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only read
	at, err := s.readEnd(ctx, tx.QueryRowContext(ctx, `SELECT `+endColumns+` FROM audit_head WHERE id = 1`))
	if err != nil {
		return err
	}
	sum, err := s.sumRows(ctx, tx)
	if err != nil {
		return err
	}
	if sum != at.rows {
		return fmt.Errorf("a row of images, releases, channels, instances, tokens, tombstones or secrets is missing, or was put back as it was earlier: %w", ErrTampered)
	}
	return nil
}

// sumRows checks each row and returns the sum of their terms.
func (s *Store) sumRows(ctx context.Context, q querier) (rowSum, error) {
	var sum rowSum
	addTerm := func(err error, r row) error {
		if err != nil {
			return err
		}
		term, err := s.rowKey.term(r)
		sum.add(term)
		return err
	}
	err := errors.Join(
		each(ctx, q, `SELECT `+imageColumns+`, mac FROM images`, func(r scanner) error {
			image, err := s.scanImage(r)
			return addTerm(err, &image)
		}),
		each(ctx, q, `SELECT `+releaseColumns+`, mac FROM releases`, func(r scanner) error {
			release, err := s.scanRelease(r)
			return addTerm(err, &release)
		}),
		each(ctx, q, `SELECT `+channelColumns+`, mac FROM channels`, func(r scanner) error {
			channel, err := s.scanChannel(r)
			return addTerm(err, &channel)
		}),
		each(ctx, q, `SELECT `+tokenSelection+` FROM tokens`, func(r scanner) error {
			token, err := s.scanToken(r)
			return addTerm(err, &token)
		}),
		each(ctx, q, `SELECT `+tombstoneColumns+`, mac FROM tombstones`, func(r scanner) error {
			t, err := s.scanTombstone(r)
			return addTerm(err, &t)
		}),
		each(ctx, q, `SELECT `+instanceColumns+`, mac FROM instances`, func(r scanner) error {
			instance, err := s.scanInstance(r)
			return addTerm(err, &instance)
		}),
		each(ctx, q, `SELECT `+instanceTombstoneColumns+`, mac FROM instance_tombstones`, func(r scanner) error {
			t, err := s.scanInstanceTombstone(r)
			return addTerm(err, &t)
		}),
		each(ctx, q, `SELECT name, sealed FROM secrets`, func(r scanner) error {
			secret, err := scanSecret(r)
			return addTerm(err, &secret)
		}),
		s.checkAllVariants(ctx, q),
	)
	return sum, err
}

// checkAllVariants holds all variants against their releases.
func (s *Store) checkAllVariants(ctx context.Context, q querier) error {
	var current Release
	check := func() error {
		if current.ID.IsZero() {
			return nil
		}
		return current.checkVariants()
	}
	err := each(ctx, q, `SELECT releases.id, releases.variants_hash, variants.position, variants.vcpus, variants.vcpu_type, variants.signature, variants.measurement
		FROM releases LEFT JOIN variants ON variants.release_id = releases.id ORDER BY releases.id, variants.position`, func(r scanner) error {
		var next Release
		var v Variant
		if err := r.Scan(exactly(next.ID[:]), exactly(next.VariantsHash[:]), &v.Position, &v.VCPUs, &v.VCPUType, &v.Signature, exactly(v.Measurement[:])); err != nil {
			return fmt.Errorf("table variants of the database: %w: %w", ErrTampered, err)
		}
		if next.ID != current.ID {
			if err := check(); err != nil {
				return err
			}
			current = next
		}
		current.Variants = append(current.Variants, v)
		return nil
	})
	return errors.Join(err, check())
}

// each calls do with each row.
func each(ctx context.Context, q querier, text string, do func(scanner) error) error {
	rows, err := q.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
