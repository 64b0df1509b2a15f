package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// tokensPage is what the template needs.
type tokensPage struct {
	Tokens        []store.Token
	ByName, ByAge sortedColumn
	Pages         numbered
	Lifetimes     []lifetime
	Fields        url.Values
	New           *newToken // this once
}

// newToken is a token with its secret.
type newToken struct {
	store.Token
	Secret string
}

// lifetime is how long a token can be good for.
type lifetime struct {
	Days int
	Text string
}

func (w *Web) listTokens(rw http.ResponseWriter, r *request) error {
	return w.renderTokens(rw, r, http.StatusOK, page{}, tokensPage{Fields: url.Values{"role": {"register"}, "days": {"90"}}})
}

func (w *Web) renderTokens(rw http.ResponseWriter, r *request, status int, p page, body tokensPage) error {
	total, err := w.cfg.Store.CountTokens(r.Context())
	if err != nil {
		return err
	}
	if body.Pages, err = number(r, total, store.DefaultPage); err != nil {
		return err
	}
	sorted, order := sortedBy(r.URL.Query())
	found, err := w.cfg.Store.ListTokens(r.Context(), store.TokenFilter{Order: order, Offset: body.Pages.offset})
	if err != nil {
		return err
	}
	body.ByName, body.ByAge = byName(r, sorted), byAge(r, sorted)
	body.Tokens, body.Lifetimes = found.Items, []lifetime{{1, "1 day"}, {7, "7 days"}, {30, "30 days"}, {90, "90 days"}, {365, "1 year"}}
	p.Name, p.Title, p.Nav, p.Body = "tokens.html", "Tokens", "tokens", body
	return w.render(rw, r, status, p)
}

// createToken answers with the page itself and not with a redirect: the secret is
// kept nowhere from which another page could take it.
func (w *Web) createToken(rw http.ResponseWriter, r *request) error {
	body := tokensPage{Fields: r.PostForm}
	days, err := strconv.ParseInt(r.PostForm.Get("days"), 10, 16)
	if err != nil {
		days = 0 // refused below
	}
	const day = 24 * 60 * 60
	want := wire.TokenRequest{Name: r.PostForm.Get("name"), Role: wire.Role(r.PostForm.Get("role")), ExpiresIn: days * day}
	token, secret, err := w.cfg.Accounts.CreateToken(r.Context(), r.who(), want)
	if p, ok := asProblem(err); ok {
		return w.renderTokens(rw, r, p.Status, page{Problem: p}, body)
	}
	if err != nil {
		return err
	}
	body.New, body.Fields = &newToken{token, secret}, url.Values{"role": {"register"}, "days": {"90"}}
	return w.renderTokens(rw, r, http.StatusOK, page{}, body)
}

func (w *Web) revokeToken(rw http.ResponseWriter, r *request) error {
	id, err := r.id("id")
	if err != nil {
		return err
	}
	if !r.sure() {
		token, err := w.cfg.Store.TokenByID(r.Context(), id)
		if err != nil {
			return err
		}
		return w.ask(rw, r, "tokens", question{
			Title: "Revoke " + token.Name + "?", Yes: "Revoke the token", Back: "/tokens",
			Detail: "The token stops working at once and cannot be restored.",
		})
	}
	if err := w.cfg.Accounts.RevokeToken(r.Context(), r.who(), id); err != nil {
		return err
	}
	return redirect(rw, r, "/tokens", "revoked")
}
