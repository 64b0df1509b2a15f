package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

// serve does what the route asks for before its handler, cheapest first, and
// then calls it.
func (a *API) serve(w http.ResponseWriter, hr *http.Request, params httprouter.Params, rt route) error {
	e := exchangeOf(hr.Context())
	e.route = rt.path
	r := &request{
		Request: hr, params: params,
		actor:   access.Actor{RequestID: e.id, Address: limit.Address(hr.RemoteAddr), Origin: limit.Origin(hr.RemoteAddr)},
		control: http.NewResponseController(w),
	}
	if err := extend(r.control, rt); err != nil {
		return err
	}
	if err := a.checkRate(r, rt); err != nil {
		return err
	}
	if err := checkBody(w, r, rt); err != nil {
		return err
	}
	if rt.op != "" {
		if err := a.authenticate(r); err != nil {
			return err
		}
		e.actor = r.actor.String()
		if err := a.cfg.Accounts.Gate.Permit(hr.Context(), r.actor, rt.op); err != nil {
			return err
		}
	}
	if rt.timeout > 0 {
		ctx, cancel := context.WithTimeout(hr.Context(), rt.timeout)
		defer cancel()
		r.Request = r.WithContext(ctx)
	}
	return rt.handle(w, r)
}

// answerTime is how long a client may take for a small answer.
const answerTime = 30 * time.Second

// begin bounds how long a slow client can hold a connection.
func (a *API) begin(c *http.ResponseController, r *http.Request) error {
	if r.ContentLength != 0 {
		if err := readBy(c, time.Now().Add(a.cfg.Limits.Body)); err != nil {
			return err
		}
	}
	return writeBy(c, time.Now().Add(answerTime))
}

// extend gives the answer the time that its route needs. Routes without a time
// limit set their own as bodies come and go, see pace.
func extend(c *http.ResponseController, rt route) error {
	if rt.timeout == 0 {
		return writeBy(c, time.Time{})
	}
	return writeBy(c, time.Now().Add(rt.timeout+answerTime))
}

// checkRate lets a request through or says when to come again.
func (a *API) checkRate(r *request, rt route) error {
	switch {
	case rt.attestation:
		if wait := a.attestation.Take(r.actor.Origin); wait > 0 {
			return &access.TooManyError{RetryAfter: wait}
		}
	case rt.op != "" || rt.login:
		return a.cfg.Accounts.CheckRate(r.actor.Origin)
	}
	return nil
}

// checkBody looks at a body from outside and bounds it.
func checkBody(w http.ResponseWriter, r *request, rt route) error {
	if rt.body.contentType == "" {
		if r.ContentLength != 0 {
			return malformed("this request takes no body")
		}
		return nil
	}
	if rt.body.optional && r.ContentLength == 0 {
		return nil
	}
	if err := checkType(r.Request, rt.body.contentType); err != nil {
		return err
	}
	if r.ContentLength > rt.body.most {
		return fail(wire.CodeTooLarge, "the limit is %s", size.Text(rt.body.most))
	}
	r.Body = &seenBody{http.MaxBytesReader(w, r.Body, rt.body.most), exchangeOf(r.Context())}
	return nil
}

// authenticate finds out who sends the request.
func (a *API) authenticate(r *request) error {
	secret, err := bearer(r.Request)
	if err != nil {
		return err
	}
	if r.actor.Principal, err = a.cfg.Accounts.Authenticate(r.Context(), r.actor.Origin, secret); err != nil {
		return err
	}
	r.actor.Secret = secret
	return nil
}

// bearer returns the secret in the one Authorization header (RFC 6750, section
// 2.1).
func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", fail(wire.CodeUnauthenticated, "send one header Authorization: Bearer TOKEN")
	}
	scheme, secret, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return "", fail(wire.CodeUnauthenticated, "send one header Authorization: Bearer TOKEN")
	}
	return secret, nil
}
