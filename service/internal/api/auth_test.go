package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
)

// callTo is a request that a route would look at: every parameter is a UUID, the
// content type is right.
func callTo(r api.Route) call {
	path := r.Path
	for _, part := range strings.Split(path, "/") {
		if strings.HasPrefix(part, ":") {
			path = strings.Replace(path, part, wire.NewUUID().String(), 1)
		}
	}
	c := call{method: r.Method, path: path, contentType: r.ContentType}
	switch c.contentType {
	case "application/json":
		c.body = []byte("{}")
	case "multipart/form-data":
		c.contentType += "; boundary=b"
		c.body = []byte("--b--\r\n")
	case "application/gzip":
		c.body = []byte{0x1F, 0x8B}
	}
	return c
}

// TestWhoMayCall sends every request that needs a token with each kind of token
// that is not good, and with the smallest that is.
func TestWhoMayCall(t *testing.T) {
	w := newWorld(t)
	newToken := func(role wire.Role, seconds int64) (id, secret string) {
		created := into[wire.NewToken](w.send("POST", "/v1/tokens", wire.RoleAdmin, wire.TokenRequest{Name: "t", Role: role, ExpiresIn: seconds}).want(201))
		return created.ID, created.Secret
	}
	revokedID, revoked := newToken(wire.RoleAdmin, 3600)
	w.send("DELETE", "/v1/tokens/"+revokedID, wire.RoleAdmin, nil).want(204)
	_, expired := newToken(wire.RoleAdmin, 10)
	w.clock.Advance(10 * time.Second)
	session := into[wire.Session](w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).want(201)).Secret
	w.do(call{method: "DELETE", path: "/v1/session", token: session}).want(204)

	below := map[wire.Role]wire.Role{wire.RoleRegister: wire.RoleRead, wire.RoleAdmin: wire.RoleRegister}
	for _, r := range w.api.Routes() {
		if r.Role == "" {
			continue
		}
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			for name, secret := range map[string]string{
				"none": "", "unknown": "snpg_" + strings.Repeat("A", 43), "malformed": "x", "revoked": revoked, "expired": expired,
				"changed": w.tokens[r.Role] + "A", "ended session": session, "the password": w.password,
			} {
				c := callTo(r)
				c.token = secret
				a := w.do(c)
				a.problem(wire.CodeUnauthenticated)
				// The holder alone learns why; nobody else has the secret.
				if said := strings.Contains(string(a.body), "the token"); said != (name == "revoked" || name == "expired") {
					t.Errorf("%s: says %s", name, a.body)
				}
				if a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: status %d, %v", name, a.status, a.header)
				}
			}
			c := callTo(r)
			c.header = http.Header{"Authorization": {"Bearer " + w.tokens[r.Role], "Bearer " + w.tokens[r.Role]}}
			w.do(c).problem(wire.CodeUnauthenticated)
			c.header = http.Header{"Authorization": {"Basic " + w.tokens[r.Role]}}
			w.do(c).problem(wire.CodeUnauthenticated)
			c.header = nil
			if smaller, ok := below[r.Role]; ok {
				c.token = w.tokens[smaller]
				w.do(c).want(403).problem(wire.CodeForbidden)
			}
			c.token = w.tokens[r.Role]
			if a := w.do(c); a.status == 401 || a.status == 403 {
				t.Errorf("the smallest role: %d, %s", a.status, a.body)
			}
		})
	}
}

// TestRoutesNeedTokens lists the routes that need none, so that no new one is
// open by mistake.
func TestRoutesNeedTokens(t *testing.T) {
	open := map[string]bool{
		"POST /v1/attestation/challenge": true, "POST /v1/attestation/unlock": true,
		"POST /v1/attestation/claim": true, "POST /v1/attestation/ready": true, "POST /v1/attestation/commit": true,
		"POST /v1/attestation/update": true, "POST /v1/attestation/confirm": true, "POST /v1/attestation/bundle": true,
		"GET /v1/public/info": true, "GET /v1/openapi.json": true, "POST /v1/session": true,
	}
	for _, r := range newWorld(t).api.Routes() {
		name := r.Method + " " + r.Path
		if (r.Role == "") != open[name] {
			t.Errorf("%s: role %q", name, r.Role)
		}
		if r.Method != http.MethodGet && r.Role == wire.RoleRead && name != "POST /v1/audit/verify" && name != "DELETE /v1/session" {
			t.Errorf("%s changes something with the role read", name)
		}
	}
}

func TestWrongTokensAreLimited(t *testing.T) {
	w := newWorld(t, func(c *api.Config) {
		c.Accounts.Failures = limit.New(limit.Rate{PerSecond: 0.1, Burst: 5}, limit.Rate{PerSecond: 1000, Burst: 1000}, c.Now)
	})
	for range 5 {
		w.do(call{method: "GET", path: "/v1/status", token: "snpg_x"}).problem(wire.CodeUnauthenticated)
	}
	for _, token := range []string{"snpg_x", w.tokens[wire.RoleAdmin]} {
		a := w.do(call{method: "GET", path: "/v1/status", token: token}).want(429)
		a.problem(wire.CodeRateLimited)
		if a.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
		}
	}
	w.do(call{method: "GET", path: "/v1/public/info"}).want(200)
	w.clock.Advance(10 * time.Second)
	w.get("/v1/status", wire.RoleRead).want(200)
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	created := into[wire.NewToken](w.send("POST", "/v1/tokens", wire.RoleAdmin, wire.TokenRequest{Name: "ci ♥", Role: wire.RoleRead, ExpiresIn: 60}).want(201))
	if r := w.lastAudit(); r.Reason != "token.created" || r.Details["token"] != created.ID || r.Details["role"] != "read" || !strings.Contains(r.Actor, "(admin)") || r.Address != "127.0.0.1" {
		t.Errorf("recorded %+v", r)
	}
	w.do(call{method: "GET", path: "/v1/status", token: created.Secret}).want(200)
	find := func() wire.Token {
		for _, token := range into[wire.TokenList](w.get("/v1/tokens", wire.RoleAdmin).want(200)).Tokens {
			if token.ID == created.ID {
				return token
			}
		}
		t.Fatal("the token is not listed")
		return wire.Token{}
	}
	if token := find(); token.Name != "ci ♥" || token.LastUsedAt == nil || token.RevokedAt != nil || !token.ExpiresAt.Equal(token.CreatedAt.Add(time.Minute)) {
		t.Errorf("listed %+v", token)
	}
	if list := w.get("/v1/tokens", wire.RoleAdmin); strings.Contains(string(list.body), "snpg_") {
		t.Error("the list has secrets")
	}
	w.send("DELETE", "/v1/tokens/"+created.ID, wire.RoleAdmin, nil).want(204)
	if r := w.lastAudit(); r.Reason != "token.revoked" || r.Details["token"] != created.ID {
		t.Errorf("recorded %+v", r)
	}
	if find().RevokedAt == nil {
		t.Error("the token is not revoked")
	}
	w.do(call{method: "GET", path: "/v1/status", token: created.Secret}).want(401)
	w.send("DELETE", "/v1/tokens/"+wire.NewUUID().String(), wire.RoleAdmin, nil).problem(wire.CodeNotFound)
	w.send("DELETE", "/v1/tokens/x", wire.RoleAdmin, nil).problem(wire.CodeNotFound)
}

func TestTokensRefused(t *testing.T) {
	w := newWorld(t)
	for name, r := range map[string]wire.TokenRequest{
		"no name":       {Role: wire.RoleRead, ExpiresIn: 60},
		"hostile name":  {Name: "a\x1b[31mb", Role: wire.RoleRead, ExpiresIn: 60},
		"unknown role":  {Name: "a", Role: "root", ExpiresIn: 60},
		"no expiry":     {Name: "a", Role: wire.RoleRead},
		"over a year":   {Name: "a", Role: wire.RoleRead, ExpiresIn: int64(access.MaxTokenLifetime/time.Second) + 1},
		"before 1970":   {Name: "a", Role: wire.RoleRead, ExpiresIn: -1 << 63},
		"for all times": {Name: "a", Role: wire.RoleRead, ExpiresIn: 1<<63 - 1},
	} {
		t.Run(name, func(*testing.T) {
			w.send("POST", "/v1/tokens", wire.RoleAdmin, r).want(422).problem(wire.CodeUnprocessable)
		})
	}
}
