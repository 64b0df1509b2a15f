package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// TestContentTypes sends each kind of body as something else.
func TestContentTypes(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.api.Routes() {
		if r.ContentType == "" {
			continue
		}
		for _, contentType := range []string{
			"", "text/plain", "application/x-www-form-urlencoded", r.ContentType + "; charset=latin1", r.ContentType + "; x=y",
			r.ContentType + ", " + r.ContentType, "*/*", strings.Repeat("a", 5000),
		} {
			c := callTo(r)
			c.token, c.contentType = w.tokens[wire.RoleAdmin], contentType
			if a := w.do(c); a.status != http.StatusUnsupportedMediaType {
				t.Errorf("%s %s as %.40q: %d, %s", r.Method, r.Path, contentType, a.status, a.body)
			}
		}
		c := callTo(r)
		c.token, c.contentType = w.tokens[wire.RoleAdmin], ""
		c.header = http.Header{"Content-Type": {r.ContentType, r.ContentType}}
		w.do(c).problem(wire.CodeUnsupportedType)
	}
	w.do(call{
		method: "POST", path: "/v1/attestation/unlock", contentType: "application/json; charset=UTF-8", body: []byte("{}"),
	}).problem(wire.CodeMalformed)
}

// TestMalformedJSON sends what is not a JSON object of known fields.
func TestMalformedJSON(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.api.Routes() {
		if r.ContentType != "application/json" {
			continue
		}
		for name, body := range map[string]string{
			"empty": " ", "cut": `{"name":`, "list": `[]`, "null": `null`, "text": `"a"`, "number": `1`, "word": `hello`,
			"two objects": `{}{}`, "word behind": `{} x`, "comma": `{,}`, "unknown field": `{"x\u0000y":1}`, "other case only": `{"n0":1}`,
			"not UTF-8": "{\"name\":\"\xff\"}", "NUL": "{}\x00", "deep": strings.Repeat(`{"a":`, 3000), "BOM": "\ufeff{}",
		} {
			c := callTo(r)
			c.token, c.body = w.tokens[wire.RoleAdmin], []byte(body)
			if a := w.do(c); a.status != http.StatusBadRequest || a.problem(wire.CodeMalformed) == "" {
				t.Errorf("%s %s, %s: %d, %s", r.Method, r.Path, name, a.status, a.body)
			}
		}
	}
}

// TestUnknownFieldIsNamed: a field that an operation does not have is a mistake of the
// sender's, who is told which it is.
func TestUnknownFieldIsNamed(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.api.Routes() {
		if r.ContentType != "application/json" {
			continue
		}
		c := callTo(r)
		c.token, c.body = w.tokens[wire.RoleAdmin], []byte(`{"colour":1}`)
		if a := w.do(c); !strings.Contains(a.problem(wire.CodeMalformed), `unknown field "colour"`) {
			t.Errorf("%s %s: %s", r.Method, r.Path, a.body)
		}
	}
}

// TestLargeBodies sends 10 MiB where less is taken, whether or not it says so
// beforehand.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t)
	large := append([]byte(`{"name":"`), bytes.Repeat([]byte("a"), 10<<20)...)
	for _, r := range w.api.Routes() {
		for _, chunked := range []bool{false, true} {
			c := callTo(r)
			c.token, c.body, c.chunked = w.tokens[wire.RoleAdmin], large, chunked
			want := http.StatusRequestEntityTooLarge
			switch r.ContentType {
			case "":
				c.contentType, want = "application/json", http.StatusBadRequest
			case "multipart/form-data":
				want = http.StatusBadRequest // it may have more, but this is none
			case "application/gzip":
				want = http.StatusUnprocessableEntity
			}
			if a := w.try(c); a != nil && a.status != want {
				t.Errorf("%s %s, chunked %t: %d, %s", r.Method, r.Path, chunked, a.status, a.body)
			}
		}
	}
}

// TestAnnouncedBodies announces more than is taken: nothing else is looked at, not
// even the token.
func TestAnnouncedBodies(t *testing.T) {
	w := newWorld(t)
	for _, r := range w.api.Routes() {
		if r.ContentType == "" {
			continue
		}
		conn := w.dial()
		c := callTo(r)
		_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: example.com\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
			r.Method, c.path, c.contentType, r.MaxBody+1)
		must(t, err)
		w.wantProblem(conn, wire.CodeTooLarge)
	}
}

// TestBodiesThatNeverCome announces small bodies where the answer does not depend
// on them: it does not wait for them.
func TestBodiesThatNeverCome(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Body = time.Hour })
	for path, code := range map[string]wire.Code{
		"/v1/nothing": wire.CodeNotFound, "/v1/status": wire.CodeMethod, "/v1/tokens": wire.CodeUnauthenticated, "/v1/images": wire.CodeUnauthenticated,
		"/v1/attestation/challenge": wire.CodeMalformed,
	} {
		conn := w.dial()
		contentType := "application/json"
		if path == "/v1/images" {
			contentType = "multipart/form-data; boundary=b"
		}
		_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: example.com\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n", path, contentType)
		must(t, err)
		w.wantProblem(conn, code)
	}
}

// TestConnectionsGoOn uses one connection for requests that fail after their
// bodies have come.
func TestConnectionsGoOn(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{method: "POST", path: "/v1/attestation/unlock", contentType: "application/json", body: []byte("{}")})
	if a.problem(wire.CodeMalformed); a.header.Get("Connection") != "" {
		t.Errorf("Connection: %s", a.header.Get("Connection"))
	}
}

// TestLargeRegistration sends a registration part of 10 MiB.
func TestLargeRegistration(t *testing.T) {
	w := newWorld(t)
	u := w.newUpload("a").change(func(r *wire.Registration) { r.GuestPolicy = strings.Repeat("a", 10<<20) })
	body, contentType := u.encode(t)
	a := w.try(call{method: "POST", path: "/v1/images", token: w.tokens[wire.RoleRegister], contentType: contentType, body: body})
	if a != nil {
		a.problem(wire.CodeTooLarge)
	}
	w.nothingLeft("after a large registration")
}

// TestUnknownPaths looks for what is not there, and for ways around.
func TestUnknownPaths(t *testing.T) {
	w := newWorld(t)
	r := w.registered("a")
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/status", "/v1/status/", "//v1/status", "/v1//status", "/V1/status", "/v1/./status",
		"/v1/images/../status", "/v1/images/%2e%2e/status", "/v1/images/..%2fstatus", "/v1/images/" + r.Image.ID.String() + "/",
		releasePath(r) + "/artifacts", releasePath(r) + "/artifacts/", releasePath(r) + "/artifacts/../bundle",
		releasePath(r) + "/artifacts/..%2f..%2fkek", releasePath(r) + "/artifacts/%2e%2e", releasePath(r) + "/artifacts/kernel",
		releasePath(r) + "/artifacts/vmlinuz%00", releasePath(r) + "/artifacts/%2fetc%2fpasswd", releasePath(r) + "/artifacts/manifest.json",
		"/v1/images/x", "/v1/images/%00", "/v1/images/" + r.Image.ID.String() + "%20", "/v1/images/" + strings.Repeat("a", 3000),
		"/v1/images/" + wire.NewUUID().String(), "/v1/images/" + wire.NewUUID().String() + "/releases/" + r.Release.ID.String(),
		"/v1/images/" + r.Image.ID.String() + "/releases/" + wire.NewUUID().String(), "/etc/passwd", "/v1/openapi.json/x", "/favicon.ico",
	} {
		a := w.get(path, wire.RoleAdmin)
		if a.status != 404 {
			t.Errorf("%s: %d, %s", path, a.status, a.body)
			continue
		}
		a.problem(wire.CodeNotFound)
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t)
	allowed := make(map[string]map[string]bool)
	for _, r := range w.api.Routes() {
		if allowed[r.Path] == nil {
			allowed[r.Path] = make(map[string]bool)
		}
		allowed[r.Path][r.Method] = true
	}
	for _, r := range w.api.Routes() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if allowed[r.Path][method] {
				continue
			}
			a := w.try(call{method: method, path: callTo(r).path, token: w.tokens[wire.RoleAdmin]})
			if a == nil || a.status != 405 || !strings.Contains(a.header.Get("Allow"), r.Method) {
				t.Errorf("%s %s: %+v", method, r.Path, a)
			}
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v1/public/info", "/v1/nothing", "/v1/status"} {
		h := w.do(call{method: "GET", path: path}).header
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: %q", path, name, h.Get(name))
			}
		}
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Server") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestUnknownParameters puts parameters where none are known.
func TestUnknownParameters(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/v1/images?limits=1", "/v1/images?limit=1&limit=2", "/v1/images?limit=0", "/v1/images?limit=501", "/v1/images?limit=-1", "/v1/images?limit=x",
		"/v1/images?enabled=1", "/v1/images?label=a", "/v1/images?label=a=b&label=a=c", "/v1/images?cursor=x", "/v1/images?name=%zz", "/v1/images?a;b",
		"/v1/tokens?x=y", "/v1/audit?order=up", "/v1/audit?kind=x", "/v1/audit?outcome=x", "/v1/audit?image_id=x", "/v1/audit?chip_id=x", "/v1/audit?chip_id=0",
		"/v1/audit?since=yesterday", "/v1/audit?until=1", "/v1/audit?wait=1", "/v1/audit?wait=61&order=oldest", "/v1/audit?cursor=after-1", "/v1/audit?cursor=x&order=oldest",
		"/v1/audit?cursor=before-1&order=oldest", "/v1/audit/export?limit=1", "/v1/audit/export?order=oldest",
	} {
		if a := w.get(path, wire.RoleAdmin); a.status != 400 || a.problem(wire.CodeMalformed) == "" {
			t.Errorf("%s: %d, %s", path, a.status, a.body)
		}
	}
}
