package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// maxAnswer bounds what the API answers to a page, in bytes.
const maxAnswer = 8 << 20

// inner makes a request to the API in the name of the browser's session.
func (r *request) inner(method, path string, body io.Reader) (*http.Request, error) {
	in, err := http.NewRequestWithContext(r.Context(), method, path, body)
	if err != nil {
		return nil, fmt.Errorf("ask API: %w", err)
	}
	in.RemoteAddr = r.RemoteAddr
	if r.secret != "" {
		in.Header.Set("Authorization", "Bearer "+r.secret)
	}
	return in, nil
}

// call asks the API with in as JSON and decodes its answer into out. Either may be
// nil. The error is a *problem when the API refused.
func (w *Web) call(r *request, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := r.inner(method, path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return w.exchange(req, &answer{header: make(http.Header)}, out)
}

// exchange serves a request by the API.
func (w *Web) exchange(req *http.Request, a *answer, out any) error {
	w.API.ServeHTTP(a, req)
	if a.status >= http.StatusBadRequest {
		return a.problem()
	}
	if out == nil || a.body.Len() == 0 {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		return fmt.Errorf("read answer of API: %w", err)
	}
	return nil
}

// pass hands a download through as it comes.
func (w *Web) pass(rw http.ResponseWriter, r *request, path string) error {
	req, err := r.inner(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	a := &answer{header: make(http.Header), through: rw}
	w.API.ServeHTTP(a, req)
	if a.status >= http.StatusBadRequest {
		return a.problem()
	}
	return nil
}

// answer is the API's answer to a page: kept, or handed through unless it is an
// error.
type answer struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	through http.ResponseWriter
	control http.ResponseWriter // whose deadlines the API may set
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// Unwrap lets http.ResponseController set deadlines.
func (a *answer) Unwrap() http.ResponseWriter {
	if a.control != nil {
		return a.control
	}
	return a.through
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if a.through == nil || status >= http.StatusBadRequest {
		a.through = nil
		return
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "Content-Length", "Repr-Digest"} {
		if value := a.header.Get(name); value != "" {
			a.through.Header().Set(name, value)
		}
	}
	a.through.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.through != nil {
		return a.through.Write(p)
	}
	if a.body.Len()+len(p) > maxAnswer {
		return 0, errors.New("answer of API is too large")
	}
	return a.body.Write(p)
}

// problem reads what the API says is wrong.
func (a *answer) problem() error {
	var in wire.Problem
	if mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || mediaType != wire.ProblemContentType {
		return fmt.Errorf("API answered %d", a.status)
	}
	if err := json.Unmarshal(a.body.Bytes(), &in); err != nil {
		return fmt.Errorf("read problem of API: %w", err)
	}
	if in.Code == wire.CodeUnauthenticated && in.Detail == "" {
		return errLoggedOut // it ended meanwhile
	}
	p := &problem{Status: in.Status, Title: in.Title, Detail: sentence(in.Detail), RequestID: in.RequestID, Code: in.Code}
	if wait := a.header.Get("Retry-After"); wait != "" {
		p.Detail = strings.TrimSpace(p.Detail + " Try again in " + wait + " seconds.")
	}
	return p
}

// sentence makes a sentence of a detail.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// asProblem returns what the API refused.
func asProblem(err error) (*problem, bool) {
	var p *problem
	ok := errors.As(err, &p)
	return p, ok
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
