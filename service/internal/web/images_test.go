package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
)

// links finds where the links with a text lead.
func links(page, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>(?:<bdi>)?`+regexp.QuoteMeta(text)+`<`).FindAllStringSubmatch(page, -1) {
		found = append(found, strings.ReplaceAll(m[1], "&amp;", "&"))
	}
	return found
}

// names are those of the images that a page lists.
func names(page string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`class="name" href="[^"]*"><bdi>([^<]*)<`).FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// fillList registers three pages of images, every other one of stage ci.
func (w *world) fillList() (total int) {
	w.t.Helper()
	total = 2*store.DefaultPage + 3
	_, err := w.store.Audited(w.t.Context(), func(ctx context.Context) (audit.Record, error) {
		for n := range total {
			image := storetest.Image(fmt.Sprintf("image %03d", n))
			image.Labels = map[string]string{"stage": []string{"production", "ci & cd"}[n%2]}
			if _, _, err := w.store.CreateImage(ctx, image, storetest.Release("f", "k", "i"), storetest.Present); err != nil {
				return audit.Record{}, err
			}
		}
		return audit.Record{Outcome: audit.OutcomeDone, Reason: "image.registered"}, nil
	})
	must(w.t, err)
	return total
}

// TestImagePages goes to the end of the list and back.
func TestImagePages(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	total := w.fillList()
	path, seen, way := "/images?sort=name&name=image", []string{}, []string{}
	for path != "" {
		page := w.get(path).Body.String()
		seen, way = append(seen, names(page)...), append(way, path)
		if want := fmt.Sprintf(" of %d<", total); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
		next := links(page, "Next")
		if path = ""; len(next) > 0 {
			path = next[0]
		}
	}
	if len(seen) != total || !slices.IsSorted(seen) || len(slices.Compact(seen)) != total || len(way) != 3 {
		t.Errorf("%d pages list %q", len(way), seen)
	}
	back := w.get(way[2]).Body.String()
	for text, lists := range map[string]string{"Previous": seen[store.DefaultPage], "First": seen[0]} {
		if to := links(back, text); len(to) != 1 || names(w.get(to[0]).Body.String())[0] != lists {
			t.Errorf("%s leads to %q, want the page that begins with %s", text, to, lists)
		}
	}
	if to := links(w.get(way[0]).Body.String(), "Last"); len(to) != 1 || to[0] != "/images?name=image&page=3&sort=name" {
		t.Errorf("the last page is at %q", to)
	}
	if got := names(w.get("/images?sort=name&page=99").Body.String()); len(got) != 3 {
		t.Errorf("behind the last page there is %q", got)
	}
	for _, page := range []string{"0", "-1", "x", "9999999999999999999"} {
		if got := w.get("/images?page=" + page); got.Code != http.StatusBadRequest {
			t.Errorf("page %s: status %d", page, got.Code)
		}
	}
}

// TestImageSort clicks the heads of the columns.
func TestImageSort(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	for _, name := range []string{"web", "Mail", "api"} {
		w.image(name)
	}
	for _, tc := range []struct{ path, click, leads, aria, first string }{
		{"/images", "Name", "/images?sort=name", "descending", "api"},
		{"/images?sort=name&page=1", "Name", "/images?sort=name-desc", "ascending", "api"},
		{"/images?sort=name-desc", "Name", "/images?sort=name", "descending", "web"},
		{"/images?sort=name", "Registered", "/images?sort=newest", "ascending", "api"},
		{"/images", "Registered", "/images?sort=oldest", "descending", "api"},
		{"/images?sort=oldest", "Registered", "/images?sort=newest", "ascending", "web"},
	} {
		page := w.get(tc.path).Body.String()
		if to := links(page, tc.click); !slices.Equal(to, []string{tc.leads}) || names(page)[0] != tc.first || !strings.Contains(page, `aria-sort="`+tc.aria+`"`) {
			t.Errorf("%s: %s leads to %q, want %s; the list is %q", tc.path, tc.click, to, tc.leads, names(page))
		}
	}
}

// TestLabelFilter follows the link of a label, and types something that is none.
func TestLabelFilter(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	total := w.fillList()
	image, err := w.store.ListImages(t.Context(), store.ImageFilter{Name: "image 001"})
	must(t, err)
	for _, path := range []string{"/images", "/images/" + image.Items[0].ID.String()} {
		to := links(w.get(path).Body.String(), "stage=ci &amp; cd")
		if len(to) == 0 {
			t.Errorf("%s: the label is no link", path)
			continue
		}
		page := w.get(to[0]).Body.String()
		if want := fmt.Sprintf(" of %d<", total/2); !strings.Contains(page, want) || !strings.Contains(page, `value="stage=ci &amp; cd"`) {
			t.Errorf("%s leads to %s, which does not list %d images", path, to[0], total/2)
		}
	}
	got := w.get("/images?" + url.Values{"label": {"foo"}}.Encode())
	if page := got.Body.String(); got.Code != http.StatusUnprocessableEntity || !strings.Contains(page, "want NAME=CONTENT") || strings.Contains(page, "No images match") {
		t.Errorf("foo: status %d, %s", got.Code, page)
	}
}
