package api

import (
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func (a *API) login(w http.ResponseWriter, r *request) error {
	var body wire.Login
	if err := readJSON(r, &body); err != nil {
		return err
	}
	session, err := a.cfg.Accounts.LogIn(r.Context(), r.actor, body.Password)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, wire.Session{Secret: session.Secret, ExpiresAt: session.ExpiresAt.UTC()})
}

func (a *API) logout(w http.ResponseWriter, r *request) error {
	if err := a.cfg.Accounts.LogOut(r.Context(), r.actor); err != nil {
		return err
	}
	return writeNothing(w)
}

func (a *API) changePassword(w http.ResponseWriter, r *request) error {
	var body wire.PasswordChange
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if err := a.cfg.Accounts.ChangePassword(r.Context(), r.actor, body.Current, body.New); err != nil {
		return err
	}
	return writeNothing(w)
}
