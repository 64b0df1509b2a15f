package api_test

import (
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
)

func TestSession(t *testing.T) {
	w := newWorld(t)
	session := into[wire.Session](w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).want(201))
	if r := w.lastAudit(); r.Reason != "session.started" || !strings.HasPrefix(r.Actor, "session ") || r.Outcome != "done" {
		t.Errorf("recorded %+v", r)
	}
	w.do(call{method: "GET", path: "/v1/tokens", token: session.Secret}).want(200)
	w.send("DELETE", "/v1/session", wire.RoleAdmin, nil).problem(wire.CodeUnprocessable)
	w.do(call{method: "DELETE", path: "/v1/session", token: session.Secret}).want(204)
	if r := w.lastAudit(); r.Reason != "session.ended" {
		t.Errorf("recorded %+v", r)
	}
	w.do(call{method: "GET", path: "/v1/tokens", token: session.Secret}).problem(wire.CodeUnauthenticated)
}

func TestIdleSession(t *testing.T) {
	w := newWorld(t)
	session := into[wire.Session](w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).want(201))
	w.clock.Advance(access.SessionIdle)
	w.do(call{method: "GET", path: "/v1/status", token: session.Secret}).problem(wire.CodeUnauthenticated)
}

func TestWrongPassword(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/v1/session", "", wire.Login{Password: "wrong"}).want(401).problem(wire.CodeUnauthenticated)
	if r := w.lastAudit(); r.Reason != "password.wrong" || r.Outcome != "denied" || r.Actor != "" || r.Address != "127.0.0.1" {
		t.Errorf("recorded %+v", r)
	}
}

// TestLongPassword sends what nobody can mean: it leaves no record.
func TestLongPassword(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/v1/session", "", wire.Login{Password: strings.Repeat("a", access.MaxPassword+1)}).problem(wire.CodeUnprocessable)
	if n, err := w.store.Count(t.Context()); err != nil || n.AuditRecords != 0 {
		t.Errorf("%d records, %v", n.AuditRecords, err)
	}
}

// TestGuessing sends ten thousand wrong passwords, one a second, and then the
// right one.
func TestGuessing(t *testing.T) {
	w := newWorld(t)
	looked, locked := 0, 0
	for range 10_000 {
		a := w.send("POST", "/v1/session", "", wire.Login{Password: "wrong"})
		switch a.status {
		case 401:
			looked++
		case 429:
			locked++
			if a.problem(wire.CodeLocked); a.header.Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		default:
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		w.clock.Advance(minute / 60)
	}
	if looked > 10*(10_000/900+1) || locked != 10_000-looked {
		t.Errorf("%d looked at, %d locked", looked, locked)
	}
	if n, err := w.store.Count(t.Context()); err != nil || n.AuditRecords != int64(looked) {
		t.Errorf("%d guesses made %d records, %v", looked, n.AuditRecords, err)
	}
	w.clock.Advance(15 * minute)
	w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).want(201)
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	session := into[wire.Session](w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).want(201))
	const next = "words that I made up"
	change := func(current, next string) answer {
		return w.send("POST", "/v1/password", wire.RoleAdmin, wire.PasswordChange{Current: current, New: next})
	}
	change("wrong", next).problem(wire.CodeUnauthenticated)
	if r := w.lastAudit(); r.Reason != "password.wrong" || !strings.Contains(r.Actor, "(admin)") {
		t.Errorf("recorded %+v", r)
	}
	change(w.password, "short").problem(wire.CodeUnprocessable)
	w.do(call{method: "GET", path: "/v1/status", token: session.Secret}).want(200)
	change(w.password, next).want(204)
	if r := w.lastAudit(); r.Reason != "password.changed" || len(r.Details) != 0 {
		t.Errorf("recorded %+v", r)
	}
	w.do(call{method: "GET", path: "/v1/status", token: session.Secret}).problem(wire.CodeUnauthenticated)
	w.send("POST", "/v1/session", "", wire.Login{Password: w.password}).problem(wire.CodeUnauthenticated)
	w.send("POST", "/v1/session", "", wire.Login{Password: next}).want(201)
}
