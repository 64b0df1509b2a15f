package api

import (
	"context"
	"net/http"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// decision is an operation of the registry on a release.
type decision[T any] func(ctx context.Context, actor access.Actor, image, release wire.UUID, in T) error

// decided handles a decision on the release in the path, and answers with the release.
func decided[T any](a *API, decide decision[T]) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		image, id, err := releaseIDs(r)
		if err != nil {
			return err
		}
		var in T
		if err := readJSON(r, &in); err != nil {
			return err
		}
		if err := decide(r.Context(), r.actor, image, id, in); err != nil {
			return err
		}
		return a.writeRelease(w, r, image, id)
	}
}

func (a *API) showUse(w http.ResponseWriter, r *request) error {
	image, id, err := releaseIDs(r)
	if err != nil {
		return err
	}
	use, err := a.cfg.Registry.Use(r.Context(), image, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wire.ReleaseUse{
		GrantedAt: orNull(use.GrantedAt), Launches: use.Launches, Machines: use.Machines, Instances: use.Instances, Days: int64(store.UsePeriod / (24 * time.Hour)),
	})
}
