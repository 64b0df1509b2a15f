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
	First, Next          string // paths of other pages
}

// listedImage is an image in the list.
type listedImage struct {
	store.Image
	store.ImageActivity
}

func (w *Web) listImages(rw http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	body := imagesPage{Name: strings.TrimSpace(q.Get("name")), Label: strings.TrimSpace(q.Get("label")), Enabled: q.Get("enabled")}
	body.Filtered = body.Name != "" || body.Label != "" || body.Enabled != ""
	filter := store.ImageFilter{Name: body.Name, Cursor: q.Get("cursor")}
	if body.Enabled == "true" || body.Enabled == "false" {
		enabled := body.Enabled == "true"
		filter.Enabled = &enabled
	}
	if body.Label != "" {
		name, content, _ := strings.Cut(body.Label, "=")
		filter.Labels = map[string]string{strings.TrimSpace(name): strings.TrimSpace(content)}
	}
	found, err := w.Store.ListImages(r.Context(), filter)
	if err != nil {
		return err
	}
	activity, err := w.Store.ImageActivity(r.Context(), found.Items)
	if err != nil {
		return err
	}
	for _, i := range found.Items {
		body.Images = append(body.Images, listedImage{i, activity[i.ID]})
	}
	body.First, body.Next = pages(r, found.Next)
	return w.render(rw, r, http.StatusOK, page{Name: "images.html", Title: "Images", Nav: "images", Body: body})
}

// pages returns the paths of the first and of the next page of a list with the
// filter that it has; empty when this is the first, or the last.
func pages(r *request, cursor string) (first, next string) {
	q := r.URL.Query()
	at := func(cursor string) string {
		kept := make(url.Values)
		for name, values := range q {
			if name != "cursor" && name != "done" && len(values) > 0 && values[0] != "" {
				kept[name] = values[:1]
			}
		}
		if cursor != "" {
			kept.Set("cursor", cursor)
		}
		return r.URL.Path + "?" + kept.Encode()
	}
	if q.Get("cursor") != "" {
		first = at("")
	}
	if cursor != "" {
		next = at(cursor)
	}
	return first, next
}
