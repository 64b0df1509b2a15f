package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// imagesPage is what the template needs.
type imagesPage struct {
	Name, Label, Enabled string // the filter as it was given
	Filtered             bool
	Images               []listedImage
	Sort                 string // one of listSorts
	Sorts                []listSort
	ByName, ByAge        sortedColumn
	Pages                numbered
}

// listedImage is an image in the list.
type listedImage struct {
	store.Image
	store.ImageActivity
}

// listSort is an order of a list, by the name that it has in addresses.
type listSort struct {
	Name, Text string
	order      store.Order
}

// listSorts returns the orders. The first is that of a list that asks for none.
func listSorts() []listSort {
	return []listSort{
		{"newest", "newest first", store.NewestFirst},
		{"oldest", "oldest first", store.OldestFirst},
		{"name", "name, A to Z", store.NameAscending},
		{"name-desc", "name, Z to A", store.NameDescending},
	}
}

// sortedBy returns the order that a list is asked for in.
func sortedBy(q url.Values) (name string, order store.Order) {
	all := listSorts()
	for _, sort := range all {
		if sort.Name == q.Get("sort") {
			return sort.Name, sort.order
		}
	}
	return all[0].Name, all[0].order
}

// byName and byAge make the heads of the columns that most lists are sorted by.
func byName(r *request, sorted string) sortedColumn {
	return sortColumn(r, sorted, columnOrder{"name", "ascending"}, columnOrder{"name-desc", "descending"})
}

func byAge(r *request, sorted string) sortedColumn {
	return sortColumn(r, sorted, columnOrder{"newest", "descending"}, columnOrder{"oldest", "ascending"})
}

// sortedColumn is the head of a column that sorts the list.
type sortedColumn struct {
	Path string // of the list, sorted by it; the other way round when it is already
	Aria string // ascending, descending or none
}

// columnOrder is an order by a column: its name in addresses, and in ARIA.
type columnOrder struct{ name, aria string }

// sortColumn makes the head of a column. The first click brings the first order.
func sortColumn(r *request, sorted string, first, second columnOrder) sortedColumn {
	c := sortedColumn{Aria: "none"}
	next := first
	switch sorted {
	case first.name:
		c.Aria, next = first.aria, second
	case second.name:
		c.Aria = second.aria
	}
	c.Path = address(r, url.Values{"sort": {next.name}, "page": {""}})
	return c
}

// filter reads the list's filter. The error is a *problem, and what can be read of
// the filter is returned with it.
func (p *imagesPage) filter(q url.Values) (filter store.ImageFilter, err error) {
	p.Name, p.Label, p.Enabled = strings.TrimSpace(q.Get("name")), strings.TrimSpace(q.Get("label")), q.Get("enabled")
	p.Filtered = p.Name != "" || p.Label != "" || p.Enabled != ""
	p.Sorts = listSorts()
	p.Sort, filter.Order = sortedBy(q)
	filter.Name = p.Name
	if p.Enabled == "true" || p.Enabled == "false" {
		enabled := p.Enabled == "true"
		filter.Enabled = &enabled
	}
	if p.Label == "" {
		return filter, nil
	}
	name, content, ok := strings.Cut(p.Label, "=")
	if !ok {
		return filter, refused("Label: want NAME=CONTENT, such as stage=production. %q has no =.", p.Label)
	}
	filter.Labels = map[string]string{strings.TrimSpace(name): strings.TrimSpace(content)}
	return filter, nil
}

func (w *Web) listImages(rw http.ResponseWriter, r *request) error {
	body, p, status := imagesPage{}, page{}, http.StatusOK
	filter, err := body.filter(r.URL.Query())
	if refusal, ok := asProblem(err); ok {
		status, p.Problem = refusal.Status, refusal
	}
	total, err := w.cfg.Store.CountImages(r.Context(), filter)
	if err != nil {
		return err
	}
	if body.Pages, err = number(r, total, store.DefaultPage); err != nil {
		return err
	}
	filter.Offset = body.Pages.offset
	found, err := w.cfg.Store.ListImages(r.Context(), filter)
	if err != nil {
		return err
	}
	activity, err := w.cfg.Store.ImageActivity(r.Context(), found.Items)
	if err != nil {
		return err
	}
	for _, i := range found.Items {
		body.Images = append(body.Images, listedImage{i, activity[i.ID]})
	}
	body.ByName, body.ByAge = byName(r, body.Sort), byAge(r, body.Sort)
	p.Name, p.Title, p.Nav, p.Body = "images.html", "Images", "images", body
	return w.render(rw, r, status, p)
}
