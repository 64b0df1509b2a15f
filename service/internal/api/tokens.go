package api

import (
	"context"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/registry"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Reasons in the audit records of this package; package registry has others.
const (
	reasonTokenCreated    = "token.created"
	reasonTokenRevoked    = "token.revoked"
	reasonLogin           = "session.started"
	reasonLogout          = "session.ended"
	reasonWrongPassword   = "password.wrong"
	reasonPasswordChanged = "password.changed"
	reasonKDSImported     = "kds.imported"
)

func (a *API) listTokens(w http.ResponseWriter, r *request) error {
	if q := queryOf(r, nil); q.err != nil {
		return q.err
	}
	list := wire.TokenList{Tokens: []wire.Token{}}
	for cursor := ""; ; {
		page, err := a.Store.ListTokens(r.Context(), store.TokenFilter{Cursor: cursor, Limit: store.MaxPage})
		if err != nil {
			return err
		}
		for _, t := range page.Items {
			list.Tokens = append(list.Tokens, wireToken(t))
		}
		if cursor = page.Next; cursor == "" {
			return writeJSON(w, http.StatusOK, list)
		}
	}
}

func (a *API) createToken(w http.ResponseWriter, r *request) error {
	var body wire.TokenRequest
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if err := registry.CheckName(body.Name); err != nil {
		return err
	}
	var created wire.NewToken
	_, err := a.Store.Audited(r.Context(), func(ctx context.Context) (audit.Record, error) {
		token, secret, err := a.Tokens.Create(ctx, body)
		if err != nil {
			return audit.Record{}, err
		}
		created = wire.NewToken{Token: wireToken(token), Secret: secret}
		record := r.audit(reasonTokenCreated)
		record.Details = map[string]string{"token": created.ID, "name": created.Name, "role": string(created.Role)}
		return record, nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, created)
}

func (a *API) revokeToken(w http.ResponseWriter, r *request) error {
	id, err := r.uuid("id")
	if err != nil {
		return err
	}
	_, err = a.Store.Audited(r.Context(), func(ctx context.Context) (audit.Record, error) {
		token, err := a.Store.TokenByID(ctx, id)
		if err != nil {
			return audit.Record{}, err
		}
		record := r.audit(reasonTokenRevoked)
		record.Details = map[string]string{"token": id.String(), "name": token.Name}
		return record, a.Store.RevokeToken(ctx, id)
	})
	if err != nil {
		return err
	}
	return writeNothing(w)
}
