package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// cookieName has the prefix with which browsers take a cookie from this very host
// alone, over HTTPS alone, for all of it.
const cookieName = "__Host-snpguard"

// fieldToken is the field of forms that has the session's token.
const fieldToken = "csrf"

// sessionCookie ends with the browser, and earlier with the session that it
// names. No script reads it, and no other site makes the browser send it.
func sessionCookie(secret string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}

// authenticate finds the session of the request. One that has ended counts as
// none.
func (w *Web) authenticate(r *request) error {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 || !access.IsSession(cookies[0].Value) {
		return nil
	}
	principal, err := w.cfg.Accounts.Sessions.Authenticate(r.Context(), cookies[0].Value)
	if errors.Is(err, access.ErrUnauthenticated) {
		return nil
	}
	if err != nil {
		return err
	}
	r.secret, r.principal = cookies[0].Value, principal
	return nil
}

// token is in every form of a session and in none of another's: it is made from
// the session's secret, which it does not give away.
func (r *request) token() string {
	sum := sha256.Sum256([]byte("snpguard/v1/csrf " + r.secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (r *request) checkToken(given string) error {
	if subtle.ConstantTimeCompare([]byte(given), []byte(r.token())) != 1 {
		return &problem{
			Status: http.StatusForbidden, Title: "The form does not belong to this session.",
			Detail: "It may have been open since before the last login. Load the page again and repeat the change.",
		}
	}
	return nil
}

// loginPage is what the template needs.
type loginPage struct {
	Next string
	Info wire.PublicInfo
}

func (w *Web) showLogin(rw http.ResponseWriter, r *request) error {
	next := localPath(r.URL.Query().Get("next"))
	if r.secret != "" {
		return redirect(rw, r, next, "")
	}
	return w.renderLogin(rw, r, http.StatusOK, page{Body: loginPage{next, w.cfg.Info}})
}

func (w *Web) renderLogin(rw http.ResponseWriter, r *request, status int, p page) error {
	p.Name, p.Title = "login.html", "Log in"
	return w.render(rw, r, status, p)
}

// askLogin sends a browser to the login and back again. A change is not repeated:
// its form has gone.
func (w *Web) askLogin(rw http.ResponseWriter, r *request) {
	if wantsJSON(r.Request) {
		_ = writeProblem(rw, problem{Status: http.StatusUnauthorized, Title: "The session has ended.", Detail: "Log in again.", Code: wire.CodeUnauthenticated})
		return
	}
	next := "/"
	if r.Method == http.MethodGet {
		next = r.URL.RequestURI()
	}
	http.Redirect(rw, r.Request, "/login?"+url.Values{"next": {next}}.Encode(), http.StatusSeeOther)
}

// localPath returns a path of this origin, or the overview.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") || strings.ContainsAny(text, "\\\r\n\t") || len(text) > 2048 {
		return "/"
	}
	return u.RequestURI()
}

// login makes a session, in place of the one that the browser has.
func (w *Web) login(rw http.ResponseWriter, r *request) error {
	next := localPath(r.PostForm.Get("next"))
	fresh := r.who()
	fresh.Principal, fresh.Secret = access.Principal{}, ""
	session, err := w.cfg.Accounts.LogIn(r.Context(), fresh, r.PostForm.Get("password"))
	if p, ok := asProblem(err); ok && p.Status < http.StatusInternalServerError {
		if p.Code == wire.CodeUnauthenticated {
			p.Title, p.Detail = "Wrong password.", "Wrong passwords are counted and slowed down."
		}
		return w.renderLogin(rw, r, p.Status, page{Problem: p, Body: loginPage{next, w.cfg.Info}})
	}
	if err != nil {
		return err
	}
	if r.secret != "" {
		if err := w.cfg.Accounts.LogOut(r.Context(), r.who()); err != nil {
			return err
		}
	}
	http.SetCookie(rw, sessionCookie(session.Secret))
	return redirect(rw, r, next, "")
}

func (w *Web) logout(rw http.ResponseWriter, r *request) error {
	if err := w.cfg.Accounts.LogOut(r.Context(), r.who()); err != nil {
		return err
	}
	http.SetCookie(rw, sessionCookie(""))
	return redirect(rw, r, "/login", "")
}
