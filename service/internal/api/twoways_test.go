package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// fieldsToTry has a field of each request in JSON, and one with a letter that
// Unicode folds from another (U+017F to s, U+212A to k), where there is one.
func fieldsToTry() map[string][]string {
	return map[string][]string{
		"POST /v1/attestation/unlock":                    {"nonce", "sealed_vm\u212a"},
		"PATCH /v1/images/:id":                           {"name", "label\u017f"},
		"PATCH /v1/images/:id/releases/:rid":             {"policy", "revi\u017fion"},
		"POST /v1/images/:id/releases/:rid/approval":     {"content_sha256", "content_\u017fha256"},
		"POST /v1/instances":                             {"name"},
		"PATCH /v1/instances/:id":                        {"enabled"},
		"POST /v1/instances/:id/adopt":                   {"receipt", "\u017fealed"},
		"POST /v1/instances/:id/allow-restore":           {"generation"},
		"POST /v1/tokens":                                {"role", "expire\u017f_in"},
		"POST /v1/audit/verify":                          {"hash", "ha\u017fh"},
		"POST /v1/images/:id/releases/:rid/rejection":    {"reason", "rea\u017fon"},
		"POST /v1/images/:id/releases/:rid/retirement":   {"in_use", "in_u\u017fe"},
		"POST /v1/images/:id/releases/:rid/restoration":  {"reason", "rea\u017fon"},
		"POST /v1/images/:id/releases/:rid/verification": {"packages", "package\u017f"},
		"PUT /v1/channels/:family/:name":                 {"target", "previou\u017f"},
		"POST /v1/session":                               {"password", "pa\u017fsword"},
		"POST /v1/password":                              {"current"},
		"POST /v1/images (part registration)":            {"image_id", "label\u017f"},
		"POST /v1/images/:id/releases (a part)":          {"vcpus", "di\u017fabled"},
		"POST /v1/attestation/update":                    {"nonce", "certificate\u017f"},
		"POST /v1/attestation/confirm":                   {"body", "certificate\u017f"},
		"POST /v1/attestation/claim":                     {"body", "boot_\u017fignature"},
		"POST /v1/attestation/ready":                     {"body", "boot_\u017fignature"},
		"POST /v1/attestation/commit":                    {"body", "boot_\u017fignature"},
		"POST /v1/attestation/bundle":                    {"ticket", "tic\u212aet"},
	}
}

// TestJSONThatReadsTwoWays sends to every route bodies that a proxy, a log or
// another program could understand differently: a field twice, a field in another
// case, a letter that folds to the field's.
func TestJSONThatReadsTwoWays(t *testing.T) {
	w := newWorld(t)
	fields := fieldsToTry()
	for _, r := range w.api.Routes() {
		if r.ContentType != "application/json" && r.ContentType != "multipart/form-data" {
			continue
		}
		var names []string
		for route, n := range fields {
			if route == r.Method+" "+r.Path || strings.HasPrefix(route, r.Method+" "+r.Path+" (") {
				names = n
			}
		}
		if len(names) == 0 {
			t.Errorf("%s %s: no field is known to try", r.Method, r.Path)
			continue
		}
		bodies := map[string]string{
			fmt.Sprintf(`{%q:null,%[1]q:null}`, names[0]):                        "occurs twice",
			fmt.Sprintf(`{%q:null}`, strings.ToUpper(names[0])):                  "unknown field",
			fmt.Sprintf(`{%q:null}`, strings.ToTitle(names[0][:1])+names[0][1:]): "unknown field",
		}
		for _, folded := range names[1:] {
			bodies[fmt.Sprintf(`{%q:null}`, folded)] = "unknown field"
		}
		for body, want := range bodies {
			c := callTo(r)
			c.token, c.body = w.tokens[wire.RoleAdmin], []byte(body)
			if r.ContentType == "multipart/form-data" {
				c.body = []byte("--b\r\nContent-Disposition: form-data; name=\"registration\"\r\n\r\n" + body + "\r\n--b--\r\n")
			}
			if detail := w.do(c).problem(wire.CodeMalformed); !strings.Contains(detail, want) {
				t.Errorf("%s %s, %s: %s", r.Method, r.Path, body, detail)
			}
		}
	}
}

// TestPasswordTwice logs in with the right password behind a wrong one, in every
// spelling that encoding/json would take for the field.
func TestPasswordTwice(t *testing.T) {
	w := newWorld(t)
	for _, second := range []string{"password", "PassWord", "PASSWORD", "pa\u017fsword", `p\u0061ssword`} {
		body := fmt.Sprintf(`{"password":"wrong","%s":%q}`, second, w.password)
		w.do(call{method: "POST", path: "/v1/session", contentType: "application/json", body: []byte(body)}).problem(wire.CodeMalformed)
	}
	if n, err := w.store.Count(t.Context()); err != nil || n.AuditRecords != 0 {
		t.Errorf("%d records, %v: somebody looked at a password", n.AuditRecords, err)
	}
}

// TestRoleTwice makes a token whose role a reader of first names takes for read.
func TestRoleTwice(t *testing.T) {
	w := newWorld(t)
	for _, second := range []string{"role", "Role"} {
		body := `{"name":"a","role":"read","expires_in":3600,"` + second + `":"admin"}`
		w.do(call{
			method: "POST", path: "/v1/tokens", token: w.tokens[wire.RoleAdmin], contentType: "application/json", body: []byte(body),
		}).problem(wire.CodeMalformed)
	}
}
