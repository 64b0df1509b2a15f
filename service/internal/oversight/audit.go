package oversight

import (
	"context"
	"errors"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// AuditQuery is a page of the audit log.
type AuditQuery struct {
	Filter store.AuditFilter
	Page   store.AuditRange
	Wait   time.Duration // for the first record
	AtEnd  bool          // begin after the last record
}

// waitPoll is how often is looked for records that are yet to be written.
const waitPoll = 500 * time.Millisecond

// Audit returns a page of the log, after a while if there is nothing at first, and the
// query as it was answered.
func (d *Desk) Audit(ctx context.Context, actor access.Actor, q AuditQuery) ([]audit.Entry, AuditQuery, error) {
	op := access.ReadAudit
	if q.Wait > 0 {
		op = access.FollowAudit
	}
	permit, err := d.Gate.Begin(ctx, actor, op)
	if err != nil {
		return nil, q, err
	}
	defer permit.End()
	if q.AtEnd {
		head, err := d.Store.AuditHead(ctx)
		if err != nil {
			return nil, q, err
		}
		q.Page.After = head.Seq
	}
	until := time.Now().Add(q.Wait)
	for {
		entries, err := d.Store.ListAudit(ctx, q.Filter, q.Page)
		if err != nil || len(entries) > 0 || !time.Now().Before(until) {
			return entries, q, err
		}
		select {
		case <-time.After(waitPoll):
		case <-ctx.Done():
			return nil, q, ctx.Err()
		}
	}
}

// ExportAudit shows records, oldest first, as far as the log goes now. begin is called
// before the first of them, when nothing more is refused.
func (d *Desk) ExportAudit(ctx context.Context, actor access.Actor, filter store.AuditFilter, begin func(), show func(audit.Entry) error) error {
	head, err := d.Store.AuditHead(ctx)
	if err != nil {
		return err
	}
	permit, err := d.Gate.Begin(ctx, actor, access.ExportAudit)
	if err != nil {
		return err
	}
	defer permit.End()
	begin()
	page := store.AuditRange{OldestFirst: true, Before: head.Seq + 1, Limit: store.MaxPage}
	for {
		entries, err := d.Store.ListAudit(ctx, filter, page)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := show(e); err != nil {
				return err
			}
		}
		if len(entries) < page.Limit {
			return nil
		}
		page.After = entries[len(entries)-1].Seq
	}
}

// Verification is what came of verifying the log.
type Verification struct {
	Records int64              // that are whole, from the first
	Head    audit.Head         // the end, if it was reached
	Broken  *audit.BrokenError // nil for a log that is whole
}

// VerifyAudit checks the chain and, when a head of it was kept, that it still leads
// there.
func (d *Desk) VerifyAudit(ctx context.Context, actor access.Actor, kept *audit.Head) (Verification, error) {
	permit, err := d.Gate.Begin(ctx, actor, access.VerifyAudit)
	if err != nil {
		return Verification{}, err
	}
	defer permit.End()
	end, err := d.Store.VerifyAudit(ctx, 1, nil)
	if err == nil && kept != nil {
		err = d.Store.VerifyAuditAgainst(ctx, *kept)
	}
	var broken *audit.BrokenError
	if !errors.As(err, &broken) {
		return Verification{Records: end.Seq, Head: end}, err
	}
	whole := max(broken.Seq-1, 0)
	if end.Seq > 0 { // the chain is whole: it is the kept head that does not fit
		whole = min(whole, end.Seq)
	}
	return Verification{whole, end, broken}, nil
}
