package api

import (
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func (a *API) listTokens(w http.ResponseWriter, r *request) error {
	if q := queryOf(r, nil); q.err != nil {
		return q.err
	}
	tokens, err := a.cfg.Desk.Tokens(r.Context(), r.actor)
	if err != nil {
		return err
	}
	list := wire.TokenList{Tokens: []wire.Token{}}
	for _, t := range tokens {
		list.Tokens = append(list.Tokens, wireToken(t))
	}
	return writeJSON(w, http.StatusOK, list)
}

func (a *API) createToken(w http.ResponseWriter, r *request) error {
	var body wire.TokenRequest
	if err := readJSON(r, &body); err != nil {
		return err
	}
	token, secret, err := a.cfg.Accounts.CreateToken(r.Context(), r.actor, body)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, wire.NewToken{Token: wireToken(token), Secret: secret})
}

func (a *API) revokeToken(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	if err := a.cfg.Accounts.RevokeToken(r.Context(), r.actor, id); err != nil {
		return err
	}
	return writeNothing(w)
}
