package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// shownDenials is how many denials the overview lists, shownReasons how many of
// their reasons.
const (
	shownDenials = 8
	shownReasons = 6
)

// overviewPage is what the template needs.
type overviewPage struct {
	Counts   store.Counts
	Span     chartSpan
	Spans    []chartSpan
	Chart    chart
	Reasons  []reasonCount
	Denials  []shownRecord
	KDS      kdsHealth
	Replicas []shownReplica
}

// reasonCount is how often unlocks were denied for a reason.
type reasonCount struct {
	Reason, Text string
	Records      int64
	Percent      int64 // of the most frequent one
}

// shownReplica is a replica with how it is.
type shownReplica struct {
	store.Replica
	Here  bool // it made this page
	Alive bool
}

// replicaSilence is how long a replica may not be heard of before it counts as
// gone.
const replicaSilence = 2 * time.Minute

func (w *Web) overview(rw http.ResponseWriter, r *request) error {
	ctx := r.Context()
	span := chartSpanNamed(r.URL.Query().Get("span"))
	begin := span.begin(w.cfg.Now())
	counts, err := w.cfg.Store.UnlockCounts(ctx, begin)
	if err != nil {
		return err
	}
	body := overviewPage{Span: span, Spans: chartSpans(), Chart: newChart(span, begin, counts), Reasons: countReasons(counts)}
	if body.Counts, err = w.cfg.Store.Count(ctx); err != nil {
		return err
	}
	denied := store.AuditFilter{Kind: audit.KindUnlock, Outcome: audit.OutcomeDenied}
	entries, err := w.cfg.Store.ListAudit(ctx, denied, store.AuditRange{Limit: shownDenials})
	if err != nil {
		return err
	}
	if body.Denials, err = w.showRecords(ctx, entries); err != nil {
		return err
	}
	if body.KDS, err = w.kdsHealth(ctx); err != nil {
		return err
	}
	if body.Replicas, err = w.replicas(ctx); err != nil {
		return err
	}
	return w.render(rw, r, http.StatusOK, page{Name: "overview.html", Title: "Overview", Nav: "overview", Body: body})
}

// countReasons adds up the reasons of denials, the most frequent ones first.
func countReasons(counts []store.UnlockCount) []reasonCount {
	sums := map[string]int64{}
	for _, c := range counts {
		if c.Outcome == audit.OutcomeDenied {
			sums[c.Reason] += c.Records
		}
	}
	var all []reasonCount
	for reason, n := range sums {
		all = append(all, reasonCount{Reason: reason, Text: adviceOn(audit.Reason(reason)).Title, Records: n})
	}
	slices.SortFunc(all, func(a, b reasonCount) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), cmp.Compare(a.Reason, b.Reason))
	})
	all = all[:min(len(all), shownReasons)]
	for i := range all {
		all[i].Percent = max(all[i].Records*100/all[0].Records, 1)
	}
	return all
}

func (w *Web) replicas(ctx context.Context) ([]shownReplica, error) {
	found, err := w.cfg.Store.ListReplicas(ctx)
	if err != nil {
		return nil, err
	}
	var all []shownReplica
	for _, r := range found {
		all = append(all, shownReplica{r, r.ID == w.cfg.Replica, w.cfg.Now().Sub(r.SeenAt) < replicaSilence})
	}
	return all, nil
}

// shownRecord is an audit record in a list.
type shownRecord struct {
	audit.Entry
	Image imageRef
	Text  string // of the reason
	Who   string // the actor, or the address
}

// imageRef names an image; without a name it has been deleted, without an ID it
// was never known.
type imageRef struct {
	ID   wire.UUID
	Name string
}

// showRecords finds the names of the records' images.
func (w *Web) showRecords(ctx context.Context, entries []audit.Entry) ([]shownRecord, error) {
	var ids []wire.UUID
	for _, e := range entries {
		if !e.ImageID.IsZero() && !slices.Contains(ids, e.ImageID) {
			ids = append(ids, e.ImageID)
		}
	}
	names, err := w.cfg.Store.ImageNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	var all []shownRecord
	for _, e := range entries {
		text := strings.ReplaceAll(string(e.Reason), ".", " ")
		if e.Kind == audit.KindUnlock {
			text = adviceOn(e.Reason).Title
		}
		all = append(all, shownRecord{e, imageRef{e.ImageID, names[e.ImageID]}, text, cmp.Or(shortActor(e.Actor), e.Address)})
	}
	return all, nil
}

// shortActor leaves the ID of a token out, which has a name.
func shortActor(actor string) string {
	if _, name, ok := strings.Cut(actor, " ("); ok && strings.HasPrefix(actor, "token ") {
		return "token " + strings.TrimSuffix(name, ")")
	}
	return actor
}
