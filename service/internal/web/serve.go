package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// request is a request on its way to its handler.
type request struct {
	*http.Request
	params    httprouter.Params
	secret    string // of the session; empty: nobody is logged in
	principal access.Principal
	control   *http.ResponseController
}

// maxForm bounds a form in bytes: a report policy, percent-encoded, and room.
const maxForm = 512 << 10

// serve does what the route asks for before its handler, and then calls it.
func (w *Web) serve(rw http.ResponseWriter, hr *http.Request, params httprouter.Params, rt route) {
	r := &request{Request: hr, params: params, control: http.NewResponseController(rw)}
	setHeaders(rw.Header())
	timeout := rt.timeout
	if timeout == 0 {
		timeout = quick
	}
	ctx, cancel := context.WithTimeout(hr.Context(), timeout)
	defer cancel()
	r.Request = hr.WithContext(ctx)
	err := w.admit(rw, r, rt)
	api.Note(ctx, rt.path, r.who().String())
	if err == nil {
		err = ignoreUnsupported(r.control.SetWriteDeadline(time.Now().Add(timeout + quick)))
	}
	if err == nil {
		err = rt.handle(rw, r)
	}
	if err != nil {
		w.fail(rw, r, err)
	}
}

// who is who sends the request.
func (r *request) who() access.Actor {
	return access.Actor{
		Principal: r.principal, Secret: r.secret, RequestID: api.RequestID(r.Context()),
		Address: limit.Address(r.RemoteAddr), Origin: limit.Origin(r.RemoteAddr),
	}
}

// errLoggedOut means that the page needs a session.
var errLoggedOut = errors.New("not logged in")

// admit checks where a request comes from and who sent it.
func (w *Web) admit(rw http.ResponseWriter, r *request, rt route) error {
	if err := w.origins.Check(r.Request); err != nil {
		return &problem{Status: http.StatusForbidden, Title: "The request came from another site.", Detail: err.Error()}
	}
	if err := w.authenticate(r); err != nil {
		return err
	}
	if r.secret == "" && !rt.public {
		return errLoggedOut
	}
	if rt.op != "" {
		if err := w.cfg.Accounts.Gate.Permit(r.Context(), r.who(), rt.op); err != nil {
			return err
		}
	}
	if r.Method != http.MethodPost || rt.stream {
		return nil
	}
	r.Body = http.MaxBytesReader(rw, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return bodyProblem(err)
	}
	if err := ignoreUnsupported(r.control.SetReadDeadline(time.Time{})); err != nil {
		return err
	}
	if rt.public {
		return nil // a login, from a page that knows no session
	}
	return r.checkToken(r.PostForm.Get(fieldToken))
}

// bodyProblem says what is wrong with a body without more words than needed.
func bodyProblem(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return &problem{Status: http.StatusRequestEntityTooLarge, Title: "That is larger than the service allows.", cause: err}
	}
	return &problem{Status: http.StatusBadRequest, Title: "The form did not arrive completely.", cause: err}
}

func ignoreUnsupported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil // only in tests
	}
	return err
}

// setHeaders lets a page load its own assets and nothing else. There is no
// Strict-Transport-Security: with it, browsers that do not know the private CA
// could not even be told to go on.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	// With no-referrer, browsers would hide the origin of forms, which is checked.
	h.Set("Referrer-Policy", "same-origin")
}

// id returns an ID in the path. One that is not a UUID names nothing.
func (r *request) id(name string) (wire.UUID, error) {
	id, err := wire.ParseUUID(r.params.ByName(name))
	if err != nil {
		return wire.UUID{}, missing(err)
	}
	return id, nil
}

// redirect answers a change that was made: the browser gets the page anew, with a
// notice that is named, not written, in its address.
func redirect(rw http.ResponseWriter, r *request, path, notice string) error {
	if notice != "" {
		path += "?" + url.Values{"done": {notice}}.Encode()
	}
	http.Redirect(rw, r.Request, path, http.StatusSeeOther)
	return nil
}
