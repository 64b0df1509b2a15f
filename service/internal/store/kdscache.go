package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
)

// maxKDSEntries bounds a KDSCache: a host that shows reports with ever other TCB
// versions shall not fill the database.
const maxKDSEntries = 100_000

// KDSCache keeps answers of AMD's KDS for all replicas. It implements kds.Cache.
type KDSCache struct {
	store *Store
	max   int64
}

// KDSCache returns the cache in the database.
func (s *Store) KDSCache() *KDSCache { return &KDSCache{s, maxKDSEntries} }

// Get implements kds.Cache.
func (c *KDSCache) Get(ctx context.Context, key kds.Key) (kds.Entry, error) {
	var entry kds.Entry
	err := c.store.view(ctx, func(ctx context.Context, q querier) error {
		// A row that is too long is not read.
		err := q.QueryRowContext(ctx, `SELECT CASE WHEN LENGTH(content) <= $1 THEN content END, fetched_at FROM kds_cache WHERE name = $2`,
			key.MaxSize(), key.String()).Scan(&entry.Data, instant{&entry.FetchedAt})
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return kds.ErrNotCached
		case err == nil && len(entry.Data) == 0:
			return fmt.Errorf("%w: its size is wrong", kds.ErrCorrupt)
		}
		return err
	})
	if err != nil {
		return kds.Entry{}, fmt.Errorf("read cache: %s: %w", key, err)
	}
	return entry, nil
}

// Put implements kds.Cache.
func (c *KDSCache) Put(ctx context.Context, key kds.Key, entry kds.Entry) error {
	if len(entry.Data) == 0 || len(entry.Data) > key.MaxSize() {
		return fmt.Errorf("write cache: %s has %d bytes, want 1 to %d", key, len(entry.Data), key.MaxSize())
	}
	err := c.store.inTx(ctx, func(ctx context.Context, q querier) error {
		var others int64
		if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM kds_cache WHERE name <> $1`, key.String()).Scan(&others); err != nil {
			return err
		}
		if others >= c.max {
			return fmt.Errorf("%w: %d entries", kds.ErrCacheFull, others)
		}
		_, err := q.ExecContext(ctx, `INSERT INTO kds_cache (name, content, fetched_at, chip_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET content = excluded.content, fetched_at = excluded.fetched_at`,
			key.String(), entry.Data, micros(entry.FetchedAt), chipOf(key))
		return err
	})
	if err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	return nil
}

// List implements kds.Cache. Rows with other names are left out.
func (c *KDSCache) List(ctx context.Context) ([]kds.Listed, error) {
	var rows []kdsRow
	err := c.store.view(ctx, func(ctx context.Context, q querier) (err error) {
		rows, err = collect(ctx, q, query{text: `SELECT name, LENGTH(content), fetched_at FROM kds_cache`}, func(row scanner) (kdsRow, error) {
			var r kdsRow
			err := row.Scan(&r.name, &r.Size, instant{&r.FetchedAt})
			return r, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list cache: %w", err)
	}
	// Databases differ in how they order texts.
	slices.SortFunc(rows, func(a, b kdsRow) int { return strings.Compare(a.name, b.name) })
	var listed []kds.Listed
	for _, r := range rows {
		var err error
		if r.Key, err = kds.ParseKey(r.name); err == nil {
			listed = append(listed, r.Listed)
		}
	}
	return listed, nil
}

// kdsRow is an entry whose name has not been read.
type kdsRow struct {
	kds.Listed
	name string
}
