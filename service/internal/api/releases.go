package api

import (
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// releaseIDs returns the image and the release in the path.
func releaseIDs(r *request) (image, release wire.UUID, err error) {
	if image, err = r.uuid("id"); err != nil {
		return image, release, err
	}
	release, err = r.uuid("rid")
	return image, release, err
}

func (a *API) showRelease(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	return a.writeRelease(w, r, image, id)
}

func (a *API) writeRelease(w http.ResponseWriter, r *request, image, id wire.UUID) error {
	release, err := a.cfg.Registry.Release(r.Context(), image, id)
	if err != nil {
		return err
	}
	shown, err := a.wireRelease(r.Context(), release)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, shown)
}

func (a *API) patchRelease(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	var patch wire.ReleasePatch
	if err := readJSON(r, &patch); err != nil {
		return err
	}
	if err := a.cfg.Registry.PatchRelease(r.Context(), r.actor, image, id, patch); err != nil {
		return err
	}
	return a.writeRelease(w, r, image, id)
}

func (a *API) deleteRelease(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	if err := a.cfg.Registry.DeleteRelease(r.Context(), r.actor, image, id); err != nil {
		return err
	}
	return writeNothing(w)
}
