package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// problem is an error that may be shown. Those of operations become one.
type problem struct {
	Status        int
	Title, Detail string
	RequestID     string
	Code          wire.Code
	cause         error // for the log
}

// Error returns everything, for the log.
func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s %s: %v", p.Title, p.Detail, p.cause)
	}
	return p.Title + " " + p.Detail
}

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

func missing(err error) error {
	return &problem{Status: http.StatusNotFound, Title: "Page not found.", Detail: "What it showed may have been deleted.", cause: err}
}

func refused(format string, args ...any) error {
	return &problem{Status: http.StatusUnprocessableEntity, Title: "That cannot be done.", Detail: fmt.Sprintf(format, args...)}
}

// problemOf returns what may be said about an error.
func problemOf(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		errors.As(missing(err), &p)
		return p
	case errors.Is(err, store.ErrCursor):
		return &problem{Status: http.StatusBadRequest, Title: "The address of this page is not complete.", cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{Status: http.StatusServiceUnavailable, Title: "The request took too long.", Detail: "Try again.", cause: err}
	}
	if p, ok := asProblem(err); ok {
		return p
	}
	return &problem{Status: http.StatusInternalServerError, Title: "The service failed.", Detail: "Look for the request ID in its log.", cause: err}
}

// asProblem returns what was refused, by the form or by the operation, in the API's
// words. A failure of the service is neither.
func asProblem(err error) (*problem, bool) {
	var p *problem
	if err == nil || errors.As(err, &p) {
		return p, p != nil
	}
	in, retry := api.ProblemOf(err)
	if in.Code == wire.CodeInternal {
		return nil, false
	}
	p = &problem{Status: in.Status, Title: in.Title, Detail: sentence(in.Detail), Code: in.Code, cause: err}
	if retry != "" {
		p.Detail = strings.TrimSpace(p.Detail + " Try again in " + retry + " seconds.")
	}
	return p, true
}

// sentence makes a sentence of a detail.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// wantsJSON reports whether the script asks, which shows progress meanwhile.
func wantsJSON(r *http.Request) bool { return r.Header.Get("Accept") == "application/json" }

// writeProblem answers the script.
func writeProblem(rw http.ResponseWriter, p problem) error {
	rw.Header().Set("Content-Type", wire.ProblemContentType)
	rw.WriteHeader(p.Status)
	return json.NewEncoder(rw).Encode(wire.Problem{
		Type: "about:blank", Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code, RequestID: p.RequestID,
	})
}

// fail answers with an error: a page, or a problem document for the script.
func (w *Web) fail(rw http.ResponseWriter, r *request, err error) {
	if errors.Is(err, errLoggedOut) {
		w.askLogin(rw, r)
		return
	}
	ctx := r.Context()
	p := *problemOf(err)
	if p.RequestID == "" {
		p.RequestID = api.RequestID(ctx)
	}
	if p.Status >= http.StatusInternalServerError {
		w.cfg.Log.ErrorContext(ctx, "page failed", "request_id", api.RequestID(ctx), "error", err.Error())
	}
	if begun, ok := rw.(interface{ Begun() bool }); ok && begun.Begun() {
		panic(http.ErrAbortHandler) // a download that breaks off must not look whole
	}
	if wantsJSON(r.Request) {
		err = writeProblem(rw, p)
	} else {
		err = w.render(rw, r, p.Status, page{Name: "problem.html", Title: p.Title, Problem: &p})
	}
	if err != nil {
		w.cfg.Log.InfoContext(ctx, "problem was not taken", "request_id", api.RequestID(ctx), "error", err.Error())
	}
}

func (w *Web) notFound(http.ResponseWriter, *request) error { return missing(nil) }

func (w *Web) wrongMethod(http.ResponseWriter, *request) error {
	return &problem{Status: http.StatusMethodNotAllowed, Title: "This page does not support that method."}
}
