package web

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/oversight"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// auditPage is what the template needs.
type auditPage struct {
	Filter                auditFields
	Filtered              bool
	Records               []shownRecord
	Head                  audit.Head
	First, Previous, Next string
	Export                string // path
	Verified              *oversight.Verification
	Kept                  string // head that was given
}

// auditFields is the filter as the form has it.
type auditFields struct {
	Kind, Outcome, Reason, RequestID, Image, Instance, Chip, Since, Until string
}

func readAuditFields(q url.Values) auditFields {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	return auditFields{
		Kind: get("kind"), Outcome: get("outcome"), Reason: get("reason"), RequestID: get("request_id"),
		Image: get("image_id"), Instance: get("instance"), Chip: get("chip_id"), Since: get("since"), Until: get("until"),
	}
}

// minuteForm is how browsers send a date with a time.
const minuteForm = "2006-01-02T15:04"

// parseMinute reads a time of a form; the zero time for none.
func parseMinute(what, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{minuteForm, "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, refused("%s: want a time such as 2026-01-02T15:04, UTC.", what)
}

func (f auditFields) filter() (store.AuditFilter, error) {
	filter := store.AuditFilter{Kind: f.Kind, Outcome: f.Outcome, Reason: f.Reason, RequestID: f.RequestID}
	var err error
	if f.Image != "" {
		if filter.ImageID, err = wire.ParseUUID(f.Image); err != nil {
			return filter, refused("Image: want its ID.")
		}
	}
	if f.Instance != "" {
		if filter.InstanceID, err = wire.ParseUUID(f.Instance); err != nil {
			return filter, refused("Instance: want its ID.")
		}
	}
	if filter.ChipID, err = hex.DecodeString(f.Chip); err != nil {
		return filter, refused("Chip: want hexadecimal digits.")
	}
	if filter.Since, err = parseMinute("From", f.Since); err != nil {
		return filter, err
	}
	filter.Until, err = parseMinute("Until", f.Until)
	return filter, err
}

// export is the path of the export with the same filter.
func (f auditFields) export(filter store.AuditFilter) string {
	q := make(url.Values)
	for name, text := range map[string]string{
		"kind": f.Kind, "outcome": f.Outcome, "reason": f.Reason, "request_id": f.RequestID, "image_id": f.Image, "instance": f.Instance, "chip_id": f.Chip,
	} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, t := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339))
		}
	}
	return "/audit/export?" + q.Encode()
}

func (w *Web) listAudit(rw http.ResponseWriter, r *request) error {
	return w.renderAudit(rw, r, http.StatusOK, page{}, auditPage{})
}

func (w *Web) renderAudit(rw http.ResponseWriter, r *request, status int, p page, body auditPage) error {
	q := r.URL.Query()
	body.Filter = readAuditFields(q)
	body.Filtered = body.Filter != auditFields{}
	filter, err := body.Filter.filter()
	if refusal, ok := asProblem(err); ok {
		status, p.Problem, filter = refusal.Status, refusal, store.AuditFilter{}
	}
	entries, first, err := w.auditEntries(r, filter)
	if err != nil {
		return err
	}
	if body.Records, err = w.showRecords(r.Context(), entries); err != nil {
		return err
	}
	if body.Head, err = w.cfg.Store.AuditHead(r.Context()); err != nil {
		return err
	}
	next := ""
	if len(entries) == store.DefaultPage {
		next = strconv.FormatInt(entries[len(entries)-1].Seq, 10)
	}
	if r.Method == http.MethodGet {
		body.First, body.Next = pages(r, next)
		if !first && len(entries) > 0 {
			body.Previous = address(r, url.Values{"cursor": {newerThan + strconv.FormatInt(entries[0].Seq, 10)}})
		}
	}
	body.Export = body.Filter.export(filter)
	p.Name, p.Title, p.Nav, p.Body = "audit.html", "Audit log", "audit", body
	return w.render(rw, r, status, p)
}

// newerThan begins the cursor of a page that ends before a record that is older.
const newerThan = "after-"

// auditEntries returns the records of the page that the request's cursor names, and
// whether it is the first one.
func (w *Web) auditEntries(r *request, filter store.AuditFilter) (entries []audit.Entry, first bool, err error) {
	text, newer := strings.CutPrefix(r.URL.Query().Get("cursor"), newerThan)
	page := store.AuditRange{}
	if text != "" || newer {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seq < 1 {
			return nil, false, store.ErrCursor
		}
		page.Before = seq
		if newer {
			page = store.AuditRange{After: seq, OldestFirst: true, Limit: store.DefaultPage + 1}
		}
	}
	if entries, err = w.cfg.Store.ListAudit(r.Context(), filter, page); err != nil || !newer {
		return entries, text == "", err
	}
	if len(entries) <= store.DefaultPage { // the first page, and it is to be full
		entries, err = w.cfg.Store.ListAudit(r.Context(), filter, store.AuditRange{})
		return entries, true, err
	}
	entries = entries[:store.DefaultPage]
	slices.Reverse(entries)
	return entries, false, nil
}

func (w *Web) exportAudit(rw http.ResponseWriter, r *request) error {
	filter, err := api.ParseAuditFilter(r.URL.RawQuery)
	if err != nil {
		return err
	}
	return api.SendAudit(r.Context(), w.cfg.Pace.Writer(rw, r.control), w.cfg.Desk, r.who(), filter)
}

func (w *Web) verifyAudit(rw http.ResponseWriter, r *request) error {
	body := auditPage{Kept: strings.TrimSpace(r.PostForm.Get("head"))}
	var kept *audit.Head
	if body.Kept != "" {
		head, err := audit.ParseHead(body.Kept)
		if err != nil {
			return w.renderAudit(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
				Title: "The log was not verified.", Detail: "Enter a head as SEQ:HASH, the form that a verification shows.",
			}}, body)
		}
		kept = &head
	}
	verified, err := w.cfg.Desk.VerifyAudit(r.Context(), r.who(), kept)
	if p, ok := asProblem(err); ok {
		return w.renderAudit(rw, r, p.Status, page{Problem: p}, body)
	}
	if err != nil {
		return err
	}
	body.Verified = &verified
	return w.renderAudit(rw, r, http.StatusOK, page{}, body)
}
