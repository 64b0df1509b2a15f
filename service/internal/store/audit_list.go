package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

// AuditFilter says which records to list. The zero value lists all.
type AuditFilter struct {
	Kind, Outcome, Reason, RequestID string
	ImageID, InstanceID              wire.UUID
	ChipID                           []byte
	Since, Until                     time.Time // Until itself is not included
}

// AuditRange is a page of records, exclusive of its ends.
type AuditRange struct {
	After, Before int64 // numbers of records; zero: no bound
	OldestFirst   bool  // newest first otherwise
	Limit         int   // DefaultPage when zero, MaxPage at most
}

// ListAudit returns a page of records. The page that follows begins after, or
// before, the last one's number.
func (s *Store) ListAudit(ctx context.Context, filter AuditFilter, page AuditRange) ([]audit.Entry, error) {
	var b builder
	b.add("SELECT body, hash, (SELECT hash FROM audit prev WHERE prev.seq = audit.seq - 1) FROM audit WHERE TRUE")
	filter.restrict(&b)
	if page.After > 0 {
		b.add(" AND seq > ?", page.After)
	}
	if page.Before > 0 {
		b.add(" AND seq < ?", page.Before)
	}
	order := " DESC"
	if page.OldestFirst {
		order = ""
	}
	b.add(" ORDER BY seq"+order+" LIMIT ?", pageSize(page.Limit))
	var entries []audit.Entry
	err := s.view(ctx, func(ctx context.Context, q querier) (err error) {
		entries, err = collect(ctx, q, b.query(), scanEntry)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	return entries, nil
}

func (f *AuditFilter) restrict(b *builder) {
	for _, text := range []struct{ column, want string }{
		{"kind", f.Kind}, {"outcome", f.Outcome}, {"reason", f.Reason}, {"request_id", f.RequestID},
	} {
		if text.want != "" {
			b.add(" AND "+text.column+" = ?", audit.Storable(text.want))
		}
	}
	if !f.ImageID.IsZero() {
		b.add(" AND image_id = ?", f.ImageID[:])
	}
	if !f.InstanceID.IsZero() {
		b.add(" AND instance_id = ?", f.InstanceID[:])
	}
	if len(f.ChipID) > 0 {
		b.add(" AND chip_id = ?", f.ChipID)
	}
	f.restrictTime(b)
}

// clockSkew is by how much the clocks of replicas may differ before records are
// not found by their time.
const clockSkew = time.Hour

// restrictTime finds the records by their numbers, which are what lists are
// ordered by: those between the last one long before and the first one long
// after. The plus signs keep the databases from looking for them by time, and
// then sorting them all.
func (f *AuditFilter) restrictTime(b *builder) {
	if !f.Since.IsZero() {
		b.add(` AND +recorded_at >= ? AND seq > COALESCE((SELECT early.seq FROM audit early
			WHERE early.recorded_at < ? ORDER BY early.recorded_at DESC LIMIT 1), 0)`, micros(f.Since), micros(f.Since.Add(-clockSkew)))
	}
	if !f.Until.IsZero() {
		b.add(` AND +recorded_at < ? AND seq < COALESCE((SELECT late.seq FROM audit late
			WHERE late.recorded_at >= ? ORDER BY late.recorded_at LIMIT 1), ?)`, micros(f.Until), micros(f.Until.Add(clockSkew)), int64(math.MaxInt64))
	}
}

func scanEntry(row scanner) (audit.Entry, error) {
	var e audit.Entry
	var prev []byte // NULL before the first record
	if err := row.Scan(&e.Body, exactly(e.Hash[:]), &prev); err != nil {
		return audit.Entry{}, err
	}
	copy(e.PrevHash[:], prev)
	if err := json.Unmarshal(e.Body, &e.Record); err != nil {
		return audit.Entry{}, fmt.Errorf("%w: audit record: %w", ErrCorrupt, err)
	}
	return e, nil
}

// followPoll is how often FollowAudit looks for records.
const followPoll = time.Second

// FollowAudit calls show for each record after the given number, and for those
// that are written while it waits, until ctx ends or show fails. It returns that
// error.
func (s *Store) FollowAudit(ctx context.Context, filter AuditFilter, after int64, show func(audit.Entry) error) error {
	for {
		entries, err := s.ListAudit(ctx, filter, AuditRange{After: after, OldestFirst: true, Limit: MaxPage})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := show(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(entries) == 0 && !pause(ctx, followPoll) {
			return ctx.Err()
		}
	}
}
