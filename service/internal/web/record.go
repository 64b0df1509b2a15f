package web

import (
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/reportview"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// recordPage is what the template needs.
type recordPage struct {
	shownRecord
	Denied   bool
	Warned   bool // granted, and still something to look at
	Advice   advice
	Expected []string // alternatives
	Details  []detail
	Chip     string
	Fields   []reportview.Field // of the report
	Report   string             // why there are none
	Previous int64              // number of the record before; 0: none
	Next     int64
	HashText string
}

// detail is one of a record's details.
type detail struct{ Name, Text string }

func (w *Web) showRecord(rw http.ResponseWriter, r *request) error {
	entry, err := w.recordOf(r)
	if err != nil {
		return err
	}
	shown, err := w.showRecords(r.Context(), []audit.Entry{entry})
	if err != nil {
		return err
	}
	head, err := w.cfg.Store.AuditHead(r.Context())
	if err != nil {
		return err
	}
	body := recordPage{
		shownRecord: shown[0], Denied: entry.Kind != audit.KindAdmin && entry.Outcome == audit.OutcomeDenied,
		Expected: strings.Split(entry.Expected, " or "), Chip: hex.EncodeToString(entry.ChipID),
		Previous: entry.Seq - 1, HashText: hex.EncodeToString(entry.Hash[:]),
	}
	if entry.Seq < head.Seq {
		body.Next = entry.Seq + 1
	}
	if entry.Count > 0 {
		body.Details = append(body.Details, detail{"requests", strconv.FormatInt(entry.Count, 10)})
	}
	for _, name := range slices.Sorted(maps.Keys(entry.Details)) {
		body.Details = append(body.Details, detail{name, entry.Details[name]})
	}
	if body.Warned = entry.Granted() && entry.Reason != ""; body.Warned {
		body.Advice = adviceOn(entry.Reason)
	}
	title := "Record " + strconv.FormatInt(entry.Seq, 10)
	if body.Denied {
		body.Advice = adviceOn(entry.Reason)
		title = "Denied: " + body.Advice.Title
	}
	if len(entry.Report) > 0 {
		if report, err := snp.ParseReport(entry.Report); err != nil {
			body.Report = "The report cannot be read: " + err.Error() + "."
		} else {
			body.Fields = reportview.Fields(report)
		}
	}
	return w.render(rw, r, http.StatusOK, page{Name: "record.html", Title: title, Nav: "audit", Body: body})
}

// recordOf returns the audit record in the path.
func (w *Web) recordOf(r *request) (audit.Entry, error) {
	return w.record(r, r.params.ByName("seq"))
}

func (w *Web) record(r *request, number string) (audit.Entry, error) {
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 1 {
		return audit.Entry{}, missing(err)
	}
	found, err := w.cfg.Store.ListAudit(r.Context(), store.AuditFilter{}, store.AuditRange{After: seq - 1, Before: seq + 1, Limit: 1})
	if err != nil {
		return audit.Entry{}, err
	}
	if len(found) == 0 {
		return audit.Entry{}, missing(nil)
	}
	return found[0], nil
}
