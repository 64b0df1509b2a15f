package web

import (
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/releasediff"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// diffPage is what the template needs.
type diffPage struct {
	A, B    *releasePage
	Changes []releasediff.Change
}

// showDiff compares two releases by what the service knows of them: it never looks
// into an initrd.
func (w *Web) showDiff(rw http.ResponseWriter, r *request) error {
	image, id, err := w.releaseOf(r)
	if err != nil {
		return err
	}
	other, err := w.comparedWith(r, image.ID, id)
	if err != nil {
		return err
	}
	var body diffPage
	if body.A, err = w.releasePage(r.Context(), image, other); err != nil {
		return err
	}
	if body.B, err = w.releasePage(r.Context(), image, id); err != nil {
		return err
	}
	a, err := api.WireRelease(r.Context(), w.cfg.Registry, body.A.Release)
	if err != nil {
		return err
	}
	b, err := api.WireRelease(r.Context(), w.cfg.Registry, body.B.Release)
	if err != nil {
		return err
	}
	body.Changes = releasediff.Compare(&a, &b)
	return w.render(rw, r, http.StatusOK, page{Name: "diff.html", Title: "Releases of " + image.Name, Nav: "images", Body: body})
}

// comparedWith returns the release that was chosen, or the newest other one that is
// approved, or the release itself.
func (w *Web) comparedWith(r *request, image, id wire.UUID) (wire.UUID, error) {
	if with := r.URL.Query().Get("with"); with != "" {
		other, err := wire.ParseUUID(with)
		if err != nil {
			return other, missing(err)
		}
		return other, nil
	}
	releases, err := w.cfg.Store.ListReleases(r.Context(), image)
	for _, other := range releases {
		if other.ID != id && other.State == wire.StateApproved {
			return other.ID, nil
		}
	}
	return id, err
}
