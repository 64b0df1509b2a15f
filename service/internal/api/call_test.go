package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// call is a request about to be sent.
type call struct {
	method, path string
	token        string
	contentType  string
	body         []byte
	header       http.Header
	chunked      bool // do not say how long the body is
}

// answer is a response, which fits the OpenAPI document.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request and holds the response against the document.
func (w *world) do(c call) answer {
	w.t.Helper()
	a, err := w.exchange(c)
	must(w.t, err)
	return a
}

// try is do for a request that may find the connection closed while it is still
// being sent: then it returns nil.
func (w *world) try(c call) *answer {
	w.t.Helper()
	a, err := w.exchange(c)
	if err != nil {
		return nil
	}
	return &a
}

func (w *world) exchange(c call) (answer, error) {
	w.t.Helper()
	var body io.Reader = bytes.NewReader(c.body)
	if c.chunked {
		body = struct{ io.Reader }{body}
	}
	r, err := http.NewRequestWithContext(w.t.Context(), c.method, w.server.URL+c.path, body)
	must(w.t, err)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.contentType != "" {
		r.Header.Set("Content-Type", c.contentType)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	client := w.server.Client()
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	a := answer{w.t, response.StatusCode, response.Header, data}
	if err == nil && c.method != http.MethodHead {
		w.documents.check(w.t, c, a)
	}
	return a, err
}

// get and send are do for what most tests need.
func (w *world) get(path string, role wire.Role) answer {
	w.t.Helper()
	return w.do(call{method: "GET", path: path, token: w.tokens[role]})
}

func (w *world) send(method, path string, role wire.Role, body any) answer {
	w.t.Helper()
	c := call{method: method, path: path, token: w.tokens[role]}
	if body != nil {
		data, err := json.Marshal(body)
		must(w.t, err)
		c.contentType, c.body = "application/json", data
	}
	return w.do(c)
}

// want stops the test unless the answer has this status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// problem wants an error with this code and returns its detail.
func (a answer) problem(code wire.Code) string {
	a.t.Helper()
	var p wire.Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Code != code {
		a.t.Fatalf("status %d, want %s: %s", a.status, code, a.body)
	}
	return p.Detail
}

// into decodes the answer.
func into[T any](a answer) T {
	a.t.Helper()
	var v T
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// lastAudit returns the newest record.
func (w *world) lastAudit() wire.AuditRecord {
	w.t.Helper()
	list := into[wire.AuditList](w.get("/v1/audit?limit=1", wire.RoleRead).want(200))
	if len(list.Records) != 1 {
		w.t.Fatal("there are no records")
	}
	return list.Records[0]
}
