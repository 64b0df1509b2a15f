package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
)

func (a *API) login(w http.ResponseWriter, r *request) error {
	var body wire.Login
	if err := readJSON(r, &body); err != nil {
		return err
	}
	given, err := a.Passwords.Check(r.Context(), r.origin, body.Password)
	if err != nil {
		return a.passwordError(r, err)
	}
	var session access.Session
	_, err = a.Store.Audited(r.Context(), func(ctx context.Context) (_ audit.Record, err error) {
		if session, err = a.Sessions.Start(ctx, given); err != nil {
			return audit.Record{}, err
		}
		record := r.audit(reasonLogin)
		record.Actor = access.Principal{Session: true, ID: session.ID}.Actor()
		return record, nil
	})
	if err != nil {
		return a.passwordError(r, err)
	}
	return writeJSON(w, http.StatusCreated, wire.Session{Secret: session.Secret, ExpiresAt: session.ExpiresAt.UTC()})
}

// passwordError puts a wrong password on record. Those that were not looked at,
// since there were too many, are not: whoever guesses must not fill the disk.
func (a *API) passwordError(r *request, err error) error {
	if !errors.Is(err, access.ErrWrongPassword) {
		return err
	}
	a.failures.Spend(r.origin)
	record := r.audit(reasonWrongPassword)
	record.Outcome = audit.OutcomeDenied
	if r.secret == "" {
		record.Actor = ""
	}
	if _, recordErr := a.Store.RecordAdmin(r.Context(), record); recordErr != nil {
		return recordErr
	}
	return err
}

func (a *API) logout(w http.ResponseWriter, r *request) error {
	if !r.principal.Session {
		return fail(wire.CodeUnprocessable, "this ends sessions; tokens are revoked")
	}
	_, err := a.Store.Audited(r.Context(), func(ctx context.Context) (audit.Record, error) {
		return r.audit(reasonLogout), a.Sessions.End(ctx, r.secret)
	})
	if err != nil {
		return err
	}
	return writeNothing(w)
}

func (a *API) changePassword(w http.ResponseWriter, r *request) error {
	var body wire.PasswordChange
	if err := readJSON(r, &body); err != nil {
		return err
	}
	change, err := a.Passwords.Change(r.Context(), r.origin, body.Current, body.New)
	if err != nil {
		return a.passwordError(r, err)
	}
	_, err = a.Store.Audited(r.Context(), func(ctx context.Context) (audit.Record, error) {
		return r.audit(reasonPasswordChanged), change.Apply(ctx)
	})
	if err != nil {
		return err
	}
	return writeNothing(w)
}
