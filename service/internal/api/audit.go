package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// maxWait is how long a client may wait for records that are yet to be written.
const maxWait = time.Minute

// waitPoll is how often is looked for them.
const waitPoll = 500 * time.Millisecond

// Orders of the audit log.
const (
	newestFirst = "newest"
	oldestFirst = "oldest"
)

// auditQuery is what a client wants of the audit log.
type auditQuery struct {
	filter store.AuditFilter
	page   store.AuditRange
	wait   time.Duration // for the first record
	atEnd  bool          // begin behind the last record
}

func auditFilterNames() []string {
	return []string{"kind", "outcome", "reason", "request_id", "image_id", "chip_id", "since", "until"}
}

func readAuditFilter(q *query) store.AuditFilter {
	filter := store.AuditFilter{
		Kind:    q.oneOf("kind", audit.KindUnlock, audit.KindAdmin),
		Outcome: q.oneOf("outcome", audit.OutcomeGranted, audit.OutcomeDenied, audit.OutcomeDone),
		Reason:  q.get("reason"), RequestID: q.get("request_id"), ImageID: q.uuid("image_id"),
		Since: q.time("since"), Until: q.time("until"),
	}
	var err error
	if filter.ChipID, err = hex.DecodeString(q.get("chip_id")); err != nil {
		q.set(malformed("parameter chip_id: want hexadecimal digits"))
	}
	return filter
}

func readAuditQuery(r *request) (auditQuery, error) {
	q := queryOf(r, append(auditFilterNames(), "order", "cursor", "limit", "wait"))
	a := auditQuery{filter: readAuditFilter(q)}
	a.page.OldestFirst = q.oneOf("order", newestFirst, oldestFirst) == oldestFirst
	a.page.Limit = int(q.number("limit", store.MaxPage))
	a.wait = time.Duration(q.number("wait", int64(maxWait/time.Second))) * time.Second
	if a.wait > 0 && !a.page.OldestFirst {
		q.set(malformed("parameter wait: new records come last, so it goes with order=%s", oldestFirst))
	}
	text := q.get("cursor")
	if text == "" {
		a.atEnd = a.wait > 0
		return a, q.err
	}
	cursor, err := parseAuditCursor(text)
	switch {
	case err != nil:
		q.set(err)
	case cursor.oldestFirst != a.page.OldestFirst:
		q.set(malformed("the cursor belongs to another order"))
	case cursor.oldestFirst:
		a.page.After = cursor.seq
	default:
		a.page.Before = cursor.seq
	}
	return a, q.err
}

func (a *API) listAudit(w http.ResponseWriter, r *request) error {
	q, err := readAuditQuery(r)
	if err != nil {
		return err
	}
	if q.wait > 0 {
		leave, err := a.followers.enter(r)
		if err != nil {
			return err
		}
		defer leave()
	}
	if q.atEnd {
		head, err := a.Store.AuditHead(r.Context())
		if err != nil {
			return err
		}
		q.page.After = head.Seq
	}
	entries, err := a.waitForAudit(r.Context(), q)
	if err != nil {
		return err
	}
	list := wire.AuditList{Records: []wire.AuditRecord{}, Next: q.next(entries)}
	for i, e := range entries {
		previous, err := a.previousHash(r.Context(), entries, i)
		if err != nil {
			return err
		}
		list.Records = append(list.Records, wireRecord(e, previous))
	}
	return writeJSON(w, http.StatusOK, list)
}

// waitForAudit returns a page, after a while if there is nothing at first.
func (a *API) waitForAudit(ctx context.Context, q auditQuery) ([]audit.Entry, error) {
	until := time.Now().Add(q.wait)
	for {
		entries, err := a.Store.ListAudit(ctx, q.filter, q.page)
		if err != nil || len(entries) > 0 || !time.Now().Before(until) {
			return entries, err
		}
		select {
		case <-time.After(waitPoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// next is the cursor of the page that follows: none behind a page that is not
// full, unless the client waits for more.
func (q auditQuery) next(entries []audit.Entry) string {
	size := q.page.Limit
	if size == 0 {
		size = store.DefaultPage
	}
	if len(entries) < size && q.wait == 0 {
		return ""
	}
	last := q.page.After
	if len(entries) > 0 {
		last = entries[len(entries)-1].Seq
	}
	return auditCursor{q.page.OldestFirst, last}.String()
}

// previousHash returns the hash of the record before entry i, which a neighbour
// has when nothing lies between them.
func (a *API) previousHash(ctx context.Context, entries []audit.Entry, i int) ([32]byte, error) {
	want := entries[i].Seq - 1
	for _, n := range []int{i - 1, i + 1} {
		if n >= 0 && n < len(entries) && entries[n].Seq == want {
			return entries[n].Hash, nil
		}
	}
	found, err := a.Store.ListAudit(ctx, store.AuditFilter{}, store.AuditRange{After: want - 1, Before: want + 1, Limit: 1})
	if err != nil || len(found) == 0 {
		return [32]byte{}, err // the first record, or one is missing: verifying tells
	}
	return found[0].Hash, nil
}
