package api

import (
	"encoding/hex"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// maxWait is how long a client may wait for records that are yet to be written.
const maxWait = time.Minute

// Orders of the audit log.
const (
	newestFirst = "newest"
	oldestFirst = "oldest"
)

func auditFilterNames() []string {
	return []string{"kind", "outcome", "reason", "request_id", "image_id", "instance", "chip_id", "since", "until"}
}

func readAuditFilter(q *query) store.AuditFilter {
	filter := store.AuditFilter{
		Kind:    q.oneOf("kind", audit.KindUnlock, audit.KindAdmin, audit.KindGuest),
		Outcome: q.oneOf("outcome", audit.OutcomeGranted, audit.OutcomeDenied, audit.OutcomeDone),
		Reason:  q.get("reason"), RequestID: q.get("request_id"), ImageID: q.uuid("image_id"), InstanceID: q.uuid("instance"),
		Since: q.time("since"), Until: q.time("until"),
	}
	var err error
	if filter.ChipID, err = hex.DecodeString(q.get("chip_id")); err != nil {
		q.set(malformed("parameter chip_id: want hexadecimal digits"))
	}
	return filter
}

func readAuditQuery(r *request) (oversight.AuditQuery, error) {
	q := queryOf(r, append(auditFilterNames(), "order", "cursor", "limit", "wait"))
	a := oversight.AuditQuery{Filter: readAuditFilter(q)}
	a.Page.OldestFirst = q.oneOf("order", newestFirst, oldestFirst) == oldestFirst
	a.Page.Limit = int(q.number("limit", store.MaxPage))
	a.Wait = time.Duration(q.number("wait", int64(maxWait/time.Second))) * time.Second
	if a.Wait > 0 && !a.Page.OldestFirst {
		q.set(malformed("parameter wait: it needs order=%s", oldestFirst))
	}
	text := q.get("cursor")
	if text == "" {
		a.AtEnd = a.Wait > 0
		return a, q.err
	}
	cursor, err := parseAuditCursor(text)
	switch {
	case err != nil:
		q.set(err)
	case cursor.oldestFirst != a.Page.OldestFirst:
		q.set(malformed("the cursor was made for another order: start again without it"))
	case cursor.oldestFirst:
		a.Page.After = cursor.seq
	default:
		a.Page.Before = cursor.seq
	}
	return a, q.err
}

func (a *API) listAudit(w http.ResponseWriter, r *request) error {
	q, err := readAuditQuery(r)
	if err != nil {
		return err
	}
	entries, q, err := a.cfg.Desk.Audit(r.Context(), r.actor, q)
	if err != nil {
		return err
	}
	list := wire.AuditList{Records: []wire.AuditRecord{}, Next: nextAudit(q, entries)}
	for _, e := range entries {
		list.Records = append(list.Records, wireRecord(e))
	}
	return writeJSON(w, http.StatusOK, list)
}

// nextAudit is the cursor of the page that follows: none after a page that is not
// full, unless the client waits for more.
func nextAudit(q oversight.AuditQuery, entries []audit.Entry) string {
	size := q.Page.Limit
	if size == 0 {
		size = store.DefaultPage
	}
	if len(entries) < size && q.Wait == 0 {
		return ""
	}
	last := q.Page.After
	if len(entries) > 0 {
		last = entries[len(entries)-1].Seq
	}
	return auditCursor{q.Page.OldestFirst, last}.String()
}
