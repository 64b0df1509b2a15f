package web

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// shownEvents is how many records an image's page lists.
const shownEvents = 15

// imagePage is what the template needs.
type imagePage struct {
	store.Image
	Activity       store.ImageActivity
	Labels         []string // NAME=CONTENT
	Releases       []store.Release
	Latest         *releasePage // nil: there is no release
	Fleet          store.Fleet
	InstanceCounts store.InstanceCounts
	Events         []shownRecord
	Name           string // in the form, as it was given
	LabelBox       string // likewise

	*shownPolicy        // its text as it was given in the form
	LimitMax     string // in the form, as it was given; empty for no limit
	LimitTime    string // likewise
}

// imageOf returns the image in the path.
func (w *Web) imageOf(r *request) (store.Image, error) {
	id, err := r.id("id")
	if err != nil {
		return store.Image{}, err
	}
	return w.cfg.Store.ImageByID(r.Context(), id)
}

func (w *Web) showImage(rw http.ResponseWriter, r *request) error {
	return w.renderImage(rw, r, http.StatusOK, page{})
}

// renderImage shows the image in the path, with a problem that there was.
func (w *Web) renderImage(rw http.ResponseWriter, r *request, status int, p page) error {
	id, err := r.id("id")
	if err != nil {
		return err
	}
	ctx := r.Context()
	image, err := w.cfg.Store.ImageByID(ctx, id)
	if err != nil {
		return err
	}
	body := imagePage{Image: image, Labels: labelLines(image.Labels), Name: image.Name}
	body.LabelBox = strings.Join(body.Labels, "\n")
	if r.Method == http.MethodPost && r.PostForm.Has("name") {
		body.Name, body.LabelBox = r.PostForm.Get("name"), r.PostForm.Get("labels")
	}
	if err := body.showRules(r); err != nil {
		return err
	}
	activity, err := w.cfg.Store.ImageActivity(ctx, []store.Image{image})
	if err != nil {
		return err
	}
	body.Activity = activity[id]
	if body.Releases, err = w.cfg.Store.ListReleases(ctx, id); err != nil {
		return err
	}
	if len(body.Releases) > 0 {
		if body.Latest, err = w.releasePage(ctx, image, body.Releases[0].ID); err != nil {
			return err
		}
	}
	if body.Fleet, err = w.cfg.Store.Fleet(ctx, id); err != nil {
		return err
	}
	if body.InstanceCounts, err = w.cfg.Store.CountInstances(ctx, id); err != nil {
		return err
	}
	events, err := w.cfg.Store.ListAudit(ctx, store.AuditFilter{ImageID: id}, store.AuditRange{Limit: shownEvents})
	if err != nil {
		return err
	}
	if body.Events, err = w.showRecords(ctx, events); err != nil {
		return err
	}
	p.Name, p.Title, p.Nav, p.Body = "image.html", image.Name, "images", body
	return w.render(rw, r, status, p)
}

// showRules fills in what decides about launches of the image.
func (i *imagePage) showRules(r *request) (err error) {
	if i.shownPolicy, err = showPolicy(i.Policy); err != nil {
		return err
	}
	if !i.LaunchLimit.None() {
		i.LimitMax, i.LimitTime = strconv.FormatInt(i.LaunchLimit.Max, 10), i.LaunchLimit.Period.String()
	}
	if r.Method != http.MethodPost {
		return nil
	}
	if r.PostForm.Has("policy") {
		i.PolicyText = r.PostForm.Get("policy")
	}
	if r.PostForm.Has("limit") {
		i.LimitMax, i.LimitTime = r.PostForm.Get("limit"), r.PostForm.Get("period")
	}
	return nil
}

// changeLimit sets the launch limit; without a number it is lifted.
func (w *Web) changeLimit(rw http.ResponseWriter, r *request) error {
	limit := wire.LaunchLimit{}
	if text := strings.TrimSpace(r.PostForm.Get("limit")); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		period, periodErr := time.ParseDuration(strings.TrimSpace(r.PostForm.Get("period")))
		if err != nil || periodErr != nil || n < 1 || period < time.Second {
			return w.renderImage(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
				Title: "The launch limit was not changed.", Detail: "Enter a number of launches and a time such as 1h or 24h.",
			}})
		}
		limit = wire.LaunchLimit{Max: n, Period: int64(period / time.Second)}
	}
	return w.changeImage(rw, r, wire.ImagePatch{LaunchLimit: &limit}, "changed")
}

// labelLines returns labels as the form has them.
func labelLines(labels map[string]string) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		lines = append(lines, name+"="+labels[name])
	}
	return lines
}

// parseLabels reads a label from each line.
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, content, ok := strings.Cut(line, "=")
		if _, twice := labels[name]; !ok || twice {
			return nil, refused("Labels: enter one NAME=CONTENT per line, each name only once.")
		}
		labels[name] = content
	}
	return labels, nil
}

// changeImage changes the image in the path and shows it again.
func (w *Web) changeImage(rw http.ResponseWriter, r *request, patch wire.ImagePatch, notice string) error {
	id, err := r.id("id")
	if err != nil {
		return err
	}
	path := "/images/" + id.String()
	err = w.cfg.Registry.PatchImage(r.Context(), r.who(), id, patch)
	if p, ok := asProblem(err); ok && p.Status != http.StatusNotFound {
		return w.renderImage(rw, r, p.Status, page{Problem: p})
	}
	if err != nil {
		return err
	}
	return redirect(rw, r, path, notice)
}

func (w *Web) editImage(rw http.ResponseWriter, r *request) error {
	name := r.PostForm.Get("name")
	labels, err := parseLabels(r.PostForm.Get("labels"))
	if p, ok := asProblem(err); ok {
		return w.renderImage(rw, r, p.Status, page{Problem: p})
	}
	return w.changeImage(rw, r, wire.ImagePatch{Name: &name, Labels: &labels}, "changed")
}

func (w *Web) enableImage(rw http.ResponseWriter, r *request) error {
	enabled, notice := wantEnabled(r)
	if !enabled && !r.sure() {
		return w.askDisableImage(rw, r)
	}
	return w.changeImage(rw, r, wire.ImagePatch{Enabled: &enabled}, notice)
}

func (w *Web) askDisableImage(rw http.ResponseWriter, r *request) error {
	image, err := w.imageOf(r)
	if err != nil {
		return err
	}
	return w.ask(rw, r, "images", question{
		Title: "Disable " + image.Name + "?", Yes: "Disable the image", Back: "/images/" + image.ID.String(),
		Detail: "Guests of this image that start or restart get no key, with any release, until it is enabled again. Running guests are not affected.",
	})
}

// wantEnabled reads the button of a form.
func wantEnabled(r *request) (enabled bool, notice string) {
	if r.PostForm.Get("enabled") == "true" {
		return true, "enabled"
	}
	return false, "disabled"
}

// deleteImage wants the name typed, so that nobody deletes another image than
// meant.
func (w *Web) deleteImage(rw http.ResponseWriter, r *request) error {
	image, err := w.imageOf(r)
	if err != nil {
		return err
	}
	if r.PostForm.Get("typed") != image.Name {
		return w.renderImage(rw, r, http.StatusUnprocessableEntity, page{Problem: &problem{
			Title: "The image was not deleted.", Detail: "The name that you typed is not the name of the image.",
		}})
	}
	if err := w.cfg.Registry.DeleteImage(r.Context(), r.who(), image.ID); err != nil {
		return err
	}
	return redirect(rw, r, "/images", "deleted")
}
