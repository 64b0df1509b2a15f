package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

func unlockRequest() wire.UnlockRequest {
	return wire.UnlockRequest{
		Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), PublicKey: make([]byte, wire.PublicKeySize),
		BootKey: make([]byte, wire.BootKeySize), SealedVMK: make([]byte, wire.SealedVMKSize),
	}
}

func grant() *wire.Grant {
	return &wire.Grant{Time: wire.MinTime, State: wire.StateNone, Enc: make([]byte, wire.EncSize), Ciphertext: make([]byte, wire.GrantSize), Signature: make([]byte, 64)}
}

func TestAttestation(t *testing.T) {
	w := newWorld(t)
	challenge := into[wire.Challenge](w.send("POST", "/v1/attestation/challenge", "", nil).want(200))
	if err := challenge.Validate(); err != nil || challenge.ExpiresIn != 60 {
		t.Errorf("challenge %+v, %v", challenge, err)
	}
	w.unlocker.grant = grant()
	a := w.send("POST", "/v1/attestation/unlock", "", unlockRequest()).want(200)
	got := into[wire.Grant](a)
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if w.unlocker.caller.Address != "127.0.0.1" || w.unlocker.caller.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("caller %+v", w.unlocker.caller)
	}
	info := into[wire.PublicInfo](w.do(call{method: "GET", path: "/v1/public/info"}).want(200))
	if !bytes.Equal(info.IngestionKey, w.keys.Ingestion.Public().Bytes()) {
		t.Error("another ingestion key")
	}
}

// TestUnlockErrors looks at what a guest learns.
func TestUnlockErrors(t *testing.T) {
	w := newWorld(t)
	secret := errors.New("secret reason")
	var bodies []string
	for name, tc := range map[string]struct {
		err   error
		code  wire.Code
		after string
	}{
		"denied":              {&unlock.Denial{Found: "secret reason"}, wire.CodeDenied, ""},
		"denied, wrapped":     {fmt.Errorf("unlock: %w", &unlock.Denial{Reason: "secret"}), wire.CodeDenied, ""},
		"denied, no reason":   {&unlock.Denial{}, wire.CodeDenied, ""},
		"denied for a cause":  {fmt.Errorf("%w: %w", unlock.ErrUnavailable, &unlock.Denial{Reason: "secret"}), wire.CodeDenied, ""},
		"unavailable":         {fmt.Errorf("%w: %w", unlock.ErrUnavailable, secret), wire.CodeUnavailable, "5"},
		"unavailable, so far": {fmt.Errorf("unlock: %w", unlock.ErrUnavailable), wire.CodeUnavailable, "5"},
		"shape":               {fmt.Errorf("%w: %w", wire.ErrShape, secret), wire.CodeMalformed, ""},
		"failure":             {secret, wire.CodeInternal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.unlocker.err = tc.err
			a := w.send("POST", "/v1/attestation/unlock", "", unlockRequest())
			detail := a.problem(tc.code)
			if strings.Contains(string(a.body), "secret") || a.header.Get("Retry-After") != tc.after {
				t.Errorf("Retry-After %q, %s", a.header.Get("Retry-After"), a.body)
			}
			if tc.code == wire.CodeDenied {
				if detail != "" {
					t.Errorf("a guest is told: %s", detail)
				}
				bodies = append(bodies, strings.Replace(string(a.body), a.header.Get("X-Request-Id"), "ID", 1))
			}
		})
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("denials differ: %s and %s", body, bodies[0])
		}
	}
	if !strings.Contains(w.log.String(), "secret reason") {
		t.Error("the log does not know why")
	}
}

// TestUnlockShapes sends requests whose fields have other sizes.
func TestUnlockShapes(t *testing.T) {
	w := newWorld(t)
	w.unlocker.grant = grant()
	for name, change := range map[string]func(*wire.UnlockRequest){
		"report": func(r *wire.UnlockRequest) { r.Report = r.Report[1:] }, "nonce": func(r *wire.UnlockRequest) { r.Nonce = nil },
		"public key": func(r *wire.UnlockRequest) { r.PublicKey = append(r.PublicKey, 0) },
		"sealed VMK": func(r *wire.UnlockRequest) { r.SealedVMK = nil },
		"certificates": func(r *wire.UnlockRequest) {
			r.Certificates = make([]byte, wire.MaxCertificates+1)
		},
	} {
		t.Run(name, func(*testing.T) {
			r := unlockRequest()
			change(&r)
			w.send("POST", "/v1/attestation/unlock", "", r).want(400).problem(wire.CodeMalformed)
		})
	}
	if w.unlocker.calls != 0 {
		t.Errorf("%d requests were looked at", w.unlocker.calls)
	}
	largest := unlockRequest()
	largest.Certificates = make([]byte, wire.MaxCertificates)
	w.send("POST", "/v1/attestation/unlock", "", largest).want(200)
}

func TestAttestationIsLimited(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Attestation = limit.Rate{PerSecond: 0.5, Burst: 3} })
	for range 3 {
		w.send("POST", "/v1/attestation/challenge", "", nil).want(200)
	}
	for _, path := range []string{"/v1/attestation/challenge", "/v1/attestation/unlock"} {
		// Before anything else: the body is not even looked at.
		a := w.do(call{method: "POST", path: path, contentType: "text/plain", body: []byte("x")}).want(429)
		if a.problem(wire.CodeRateLimited); a.header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After: %s", a.header.Get("Retry-After"))
		}
	}
	if w.unlocker.calls != 3 {
		t.Errorf("%d calls", w.unlocker.calls)
	}
	w.get("/v1/status", wire.RoleRead).want(200)
	w.clock.Advance(2 * time.Second)
	w.send("POST", "/v1/attestation/challenge", "", nil).want(200)
}

func TestAllAttestationIsLimited(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.AttestationAll = limit.Rate{PerSecond: 1, Burst: 2} })
	for range 2 {
		w.send("POST", "/v1/attestation/challenge", "", nil).want(200)
	}
	w.send("POST", "/v1/attestation/challenge", "", nil).problem(wire.CodeRateLimited)
}

// TestPanic fails in a handler.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.unlocker.doing = func() { panic("secret place") }
	a := w.send("POST", "/v1/attestation/unlock", "", unlockRequest()).want(500)
	a.problem(wire.CodeInternal)
	if strings.Contains(string(a.body), "secret") || !strings.Contains(w.log.String(), "secret place") || !strings.Contains(w.log.String(), a.header.Get("X-Request-Id")) {
		t.Errorf("answered %s", a.body)
	}
}

// TestRequestID looks for it where it has to be, and sends one that is not wanted.
func TestRequestID(t *testing.T) {
	w := newWorld(t)
	seen := make(map[string]bool)
	for _, path := range []string{"/v1/public/info", "/v1/status", "/v1/nothing", "/"} {
		a := w.do(call{method: "GET", path: path, header: http.Header{"X-Request-Id": {"chosen"}}})
		id := a.header.Get("X-Request-Id")
		if len(id) != 24 || seen[id] || len(a.header["X-Request-Id"]) != 1 || !strings.Contains(w.log.String(), id) {
			t.Errorf("%s: request ID %q", path, id)
		}
		seen[id] = true
	}
	if strings.Contains(w.log.String(), "chosen") {
		t.Error("a client chose the request ID")
	}
}

// TestForwardedAddressesDoNotCount sends what a proxy would, or somebody who wants
// to look like many.
func TestForwardedAddressesDoNotCount(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Attestation = limit.Rate{PerSecond: 0.5, Burst: 3} })
	for i, want := range []int{200, 200, 200, 429} {
		address := fmt.Sprintf("192.0.2.%d", i)
		w.do(call{method: "POST", path: "/v1/attestation/challenge", header: http.Header{
			"X-Forwarded-For": {address}, "X-Real-Ip": {address}, "Forwarded": {"for=" + address},
		}}).want(want)
	}
}
