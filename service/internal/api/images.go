package api

import (
	"net/http"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

func (a *API) listImages(w http.ResponseWriter, r *request) error {
	q := queryOf(r, []string{"name", "enabled", "cursor", "limit"}, "label")
	filter := store.ImageFilter{
		Name: q.get("name"), Enabled: q.flag("enabled"),
		Cursor: q.get("cursor"), Limit: int(q.number("limit", store.MaxPage)),
	}
	for _, label := range q.values["label"] {
		name, content, ok := strings.Cut(label, "=")
		if !ok {
			q.set(malformed("parameter label: want NAME=CONTENT"))
		}
		if filter.Labels == nil {
			filter.Labels = make(map[string]string)
		}
		if other, twice := filter.Labels[name]; twice && other != content {
			q.set(malformed("parameter label: %s is given twice with different contents", name))
		}
		filter.Labels[name] = content
	}
	if q.err == nil && len(filter.Labels) > store.MaxLabels {
		q.set(malformed("parameter label: want at most %d labels", store.MaxLabels))
	}
	if q.err != nil {
		return q.err
	}
	page, err := a.cfg.Store.ListImages(r.Context(), filter)
	if err != nil {
		return err
	}
	list := wire.ImageList{Images: []wire.Image{}, Next: page.Next}
	for _, i := range page.Items {
		list.Images = append(list.Images, wireImage(i))
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a *API) showImage(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	return a.writeImage(w, r, id)
}

// writeImage answers with an image and its releases.
func (a *API) writeImage(w http.ResponseWriter, r *request, id wire.UUID) error {
	image, err := a.cfg.Store.ImageByID(r.Context(), id)
	if err != nil {
		return err
	}
	releases, err := a.cfg.Store.ListReleases(r.Context(), id)
	if err != nil {
		return err
	}
	out := wireImage(image)
	for _, release := range releases {
		whole, err := a.cfg.Store.ReleaseByID(r.Context(), release.ID)
		if err != nil {
			return err
		}
		shown, err := a.wireRelease(r.Context(), whole)
		if err != nil {
			return err
		}
		out.Releases = append(out.Releases, shown)
	}
	return writeJSON(w, http.StatusOK, out)
}

func (a *API) patchImage(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	var patch wire.ImagePatch
	if err := readJSON(r, &patch); err != nil {
		return err
	}
	if err := a.cfg.Registry.PatchImage(r.Context(), r.actor, id, patch); err != nil {
		return err
	}
	return a.writeImage(w, r, id)
}

func (a *API) deleteImage(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	if err := a.cfg.Registry.DeleteImage(r.Context(), r.actor, id); err != nil {
		return err
	}
	return writeNothing(w)
}
