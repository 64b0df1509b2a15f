package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/limit"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/api"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store/storetest"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// guestCalls are the paths that take a GuestCall.
func guestCalls() []string { return []string{wire.PathUpdate, wire.PathConfirm} }

func guestCall() wire.GuestCall {
	return wire.GuestCall{Report: make([]byte, 1184), Nonce: make([]byte, wire.NonceSize), Body: []byte("{}")}
}

func TestGuestCalls(t *testing.T) {
	w := newWorld(t)
	w.updater.answer = &wire.GuestAnswer{Body: []byte("{}"), Signature: make([]byte, 64)}
	for _, path := range guestCalls() {
		a := w.send("POST", path, "", guestCall()).want(200)
		answer := into[wire.GuestAnswer](a)
		if err := answer.Validate(); err != nil || w.updater.caller.Address != "127.0.0.1" || w.updater.caller.RequestID != a.header.Get("X-Request-Id") {
			t.Errorf("%s: %v, %+v", path, err, w.updater.caller)
		}
	}
	if w.updater.updates != 1 || w.updater.confirms != 1 {
		t.Errorf("calls %+v", w.updater)
	}
}

// TestGuestCallErrors looks at what a guest learns.
func TestGuestCallErrors(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		err  error
		code wire.Code
	}{
		"denied":      {&unlock.Denial{Found: "secret reason"}, wire.CodeDenied},
		"unavailable": {fmt.Errorf("%w: secret reason", unlock.ErrUnavailable), wire.CodeUnavailable},
		"failure":     {errors.New("secret reason"), wire.CodeInternal},
		"shape":       {fmt.Errorf("%w: secret reason", wire.ErrShape), wire.CodeMalformed},
	} {
		w.updater.err = tc.err
		for path, body := range map[string]any{
			wire.PathUpdate: guestCall(), wire.PathConfirm: guestCall(), wire.PathBundle: wire.BundleRequest{Ticket: make([]byte, wire.TicketSize)},
		} {
			if name == "shape" && path == wire.PathBundle {
				continue
			}
			a := w.send("POST", path, "", body)
			if a.problem(tc.code); strings.Contains(string(a.body), "secret") {
				t.Errorf("%s, %s: %s", name, path, a.body)
			}
		}
	}
	if !strings.Contains(w.log.String(), "secret reason") {
		t.Error("the log does not know why")
	}
}

// TestGuestCallShapes sends calls whose fields have other sizes.
func TestGuestCallShapes(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*wire.GuestCall){
		"report": func(c *wire.GuestCall) { c.Report = nil }, "nonce": func(c *wire.GuestCall) { c.Nonce = c.Nonce[1:] },
		"no body": func(c *wire.GuestCall) { c.Body = nil }, "body": func(c *wire.GuestCall) { c.Body = make([]byte, wire.MaxCallBody+1) },
		"certificates": func(c *wire.GuestCall) { c.Certificates = make([]byte, wire.MaxCertificates+1) },
	} {
		for _, path := range guestCalls() {
			c := guestCall()
			change(&c)
			if w.send("POST", path, "", c).problem(wire.CodeMalformed) == "" {
				t.Errorf("%s, %s: not named", path, name)
			}
		}
	}
	w.send("POST", wire.PathBundle, "", wire.BundleRequest{Ticket: []byte("short")}).problem(wire.CodeMalformed)
	if w.updater.updates+w.updater.confirms+w.updater.bundles != 0 {
		t.Errorf("calls were looked at: %+v", w.updater)
	}
}

// TestGuestCallsAreLimited counts them with the unlocks of an address.
func TestGuestCallsAreLimited(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Attestation = limit.Rate{PerSecond: 0.5, Burst: 1} })
	w.send("POST", wire.PathChallenge, "", nil).want(200)
	for _, path := range append(guestCalls(), wire.PathBundle) {
		w.do(call{method: "POST", path: path, contentType: "text/plain", body: []byte("x")}).problem(wire.CodeRateLimited)
	}
}

// bootCalls are the paths that take a BootCall.
func bootCalls() []string { return []string{wire.PathClaim, wire.PathReady, wire.PathCommit} }

func bootCall() wire.BootCall {
	call := wire.BootCall{GuestCall: guestCall()}
	call.BootSignature = make([]byte, 64)
	return call
}

func TestBootCalls(t *testing.T) {
	w := newWorld(t)
	w.booter.answer = &wire.GuestAnswer{Body: []byte("{}"), Signature: make([]byte, 64)}
	for _, path := range bootCalls() {
		a := w.send("POST", path, "", bootCall()).want(200)
		if answer := into[wire.GuestAnswer](a); answer.Validate() != nil || w.booter.caller.Address != "127.0.0.1" || w.booter.caller.RequestID != a.header.Get("X-Request-Id") {
			t.Errorf("%s: %+v, %+v", path, answer, w.booter.caller)
		}
	}
	largest := bootCall()
	largest.Body, largest.Certificates = make([]byte, wire.MaxBootCallBody), make([]byte, wire.MaxCertificates)
	w.send("POST", wire.PathReady, "", largest).want(200)
	if !slices.Equal(w.booter.calls, append(bootCalls(), wire.PathReady)) {
		t.Errorf("calls %v", w.booter.calls)
	}
}

// TestBootCallErrors looks at what a guest learns.
func TestBootCallErrors(t *testing.T) {
	w := newWorld(t)
	for code, err := range map[wire.Code]error{
		wire.CodeDenied: &unlock.Denial{Found: "secret reason"}, wire.CodeUnavailable: fmt.Errorf("%w: secret reason", unlock.ErrUnavailable),
		wire.CodeInternal: errors.New("secret reason"), wire.CodeMalformed: fmt.Errorf("%w: secret reason", wire.ErrShape),
	} {
		w.booter.err = err
		for _, path := range bootCalls() {
			a := w.send("POST", path, "", bootCall())
			if a.problem(code); strings.Contains(string(a.body), "secret") {
				t.Errorf("%s: %s", path, a.body)
			}
		}
	}
}

// TestBootCallShapes sends calls whose fields have other sizes, and too many.
func TestBootCallShapes(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Limits.Attestation = limit.Rate{PerSecond: 0.01, Burst: 15} })
	for name, change := range map[string]func(*wire.BootCall){
		"report": func(c *wire.BootCall) { c.Report = nil }, "nonce": func(c *wire.BootCall) { c.Nonce = c.Nonce[1:] },
		"body": func(c *wire.BootCall) { c.Body = make([]byte, wire.MaxBootCallBody+1) }, "no signature": func(c *wire.BootCall) { c.BootSignature = nil },
		"signature": func(c *wire.BootCall) { c.BootSignature = append(c.BootSignature, 0) },
	} {
		for _, path := range bootCalls() {
			c := bootCall()
			change(&c)
			if w.send("POST", path, "", c).problem(wire.CodeMalformed) == "" {
				t.Errorf("%s, %s: not named", path, name)
			}
		}
	}
	for _, path := range bootCalls() {
		w.do(call{method: "POST", path: path, contentType: "text/plain", body: []byte("x")}).problem(wire.CodeRateLimited)
	}
	if len(w.booter.calls) != 0 {
		t.Errorf("calls were looked at: %v", w.booter.calls)
	}
}

func TestMachines(t *testing.T) {
	w := newWorld(t)
	image, release, err := w.store.CreateImage(t.Context(), storetest.Image("fleet"), storetest.Release("f", "k", "i"), storetest.Present)
	must(t, err)
	for machine := byte(1); machine <= 3; machine++ {
		v := storetest.Sighting(image.ID, release.ID, machine, store.MachineKernel{Release: "6.13", Newer: true})
		v.Nonce.Expires = w.clock.Now().Add(time.Minute)
		if machine == 1 {
			v.Confirmed = &audit.Record{Reason: audit.ReasonConfirmed}
		}
		_, err := w.store.RecordSighting(t.Context(), v)
		must(t, err)
	}
	path := "/v1/images/" + image.ID.String()
	first := into[wire.MachineList](w.get(path+"/machines?limit=2", wire.RoleRead).want(200))
	if len(first.Machines) != 2 || first.Machines[0].Confirmed != release.ID || first.Machines[0].ConfirmedAt == nil || first.Machines[1].ConfirmedAt != nil ||
		first.Machines[0].Running != "6.12.1" || len(first.Machines[0].Kernels) != 1 {
		t.Fatalf("first page %+v", first)
	}
	second := into[wire.MachineList](w.get(path+"/machines?limit=2&cursor="+first.Next, wire.RoleRead).want(200))
	if len(second.Machines) != 1 || second.Next != "" {
		t.Errorf("second page %+v", second)
	}
	fleet := into[wire.Fleet](w.get(path+"/fleet", wire.RoleRead).want(200))
	if fleet.Machines != 3 || len(fleet.Waiting) != 1 || fleet.Waiting[0].Machines != 3 || fleet.Releases[0].Running != 3 || fleet.Releases[0].Confirmed != 1 {
		t.Errorf("fleet %+v", fleet)
	}
	w.get(path+"/machines?cursor=x", wire.RoleRead).problem(wire.CodeMalformed)
	for _, end := range []string{"/machines", "/fleet"} {
		w.get("/v1/images/"+wire.NewUUID().String()+end, wire.RoleRead).problem(wire.CodeNotFound)
		w.get(path+end, "").problem(wire.CodeUnauthenticated)
	}
}
