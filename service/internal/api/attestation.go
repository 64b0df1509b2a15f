package api

import (
	"errors"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func (a *API) challenge(w http.ResponseWriter, _ *request) error {
	return writeJSON(w, http.StatusOK, a.cfg.Unlocker.Challenge())
}

func (a *API) unlock(w http.ResponseWriter, r *request) error {
	var body wire.UnlockRequest
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if err := body.Validate(); err != nil {
		return malformed("%v", err)
	}
	grant, err := a.cfg.Unlocker.Unlock(r.Context(), &body, unlock.Caller{RequestID: r.actor.RequestID, Address: r.actor.Address, Block: r.actor.Origin})
	if errors.Is(err, wire.ErrShape) {
		return malformed("the request is malformed").because(err)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, grant)
}

func (a *API) publicInfo(w http.ResponseWriter, _ *request) error {
	return writeJSON(w, http.StatusOK, a.cfg.Info)
}
