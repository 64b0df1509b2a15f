package guestcall_test

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/instancetest"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// TestCalls has the service read what is bound, with a boot key and without, and the answer
// of another call refused.
func TestCalls(t *testing.T) {
	image, id := wire.NewUUID(), wire.NewUUID()
	s := instancetest.New(t, image, id, make([]byte, wire.VMKSize))
	url, ca := s.Serve(t)
	roots, err := service.ParseRoots(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})))
	if err != nil {
		t.Fatal(err)
	}
	client, err := service.New(roots, url, (&net.Dialer{}).DialContext, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("firmware is busy")
	attest := func(data [report.DataSize]byte) (*report.Evidence, error) {
		e := &report.Evidence{Report: make([]byte, report.Size)}
		copy(e.Report[instancetest.OffsetReportData:], data[:])
		host := wire.HostData(id)
		copy(e.Report[instancetest.OffsetHostData:], host[:])
		return e, broken
	}
	_, boot, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	caller := guestcall.Caller{Image: image, Identity: s.Identity.Public().(ed25519.PublicKey), Launch: report.LaunchOf(attest, wire.HostData(id)), Boot: boot}
	do := func() (guestcall.Call, error) {
		body, err := guestcall.Encode(&wire.CommitRequest{Generation: 1})
		if err != nil {
			t.Fatal(err)
		}
		var answer wire.InstanceAnswer
		return caller.Do(t.Context(), client, wire.CallCommit, body, &answer)
	}
	if _, err := do(); !errors.Is(err, broken) {
		t.Errorf("no report: %v", err)
	}
	broken = nil
	// Signed by a boot key that nothing was granted: all before that was in order.
	if _, err := do(); !errors.Is(err, service.ErrDenied) || s.Denied[0] != "boot_key" {
		t.Errorf("%v, denied %q", err, s.Denied)
	}
	caller.Boot = nil
	if _, err := do(); !errors.Is(err, service.ErrDenied) || s.Denied[1] != "malformed" {
		t.Errorf("without a boot key: %v, denied %q", err, s.Denied)
	}
	if _, err := guestcall.Encode(func() {}); err == nil {
		t.Error("a function is encoded")
	}
}

// FuzzAnswer takes what a service could sign that has been broken into, or has a mistake:
// what comes of it is within bounds. Unsigned, or for another call, nothing comes of it.
func FuzzAnswer(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	caller := guestcall.Caller{Identity: key.Public().(ed25519.PublicKey)}
	standing := wire.InstanceAnswer{Instance: wire.UUID{1}, State: wire.StateClaimed}
	for _, answer := range []any{
		wire.ClaimAnswer{InstanceAnswer: standing, Share: make([]byte, wire.SealedShareSize), Receipt: make([]byte, 64)},
		standing, map[string]any{"generation": -1}, map[string]any{}, "",
	} {
		body, err := json.Marshal(answer)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		claim, ready := guestcall.Call{Kind: wire.CallClaim}, guestcall.Call{Kind: wire.CallReady}
		sign := func(c guestcall.Call) *wire.GuestAnswer {
			return &wire.GuestAnswer{Body: body, Signature: ed25519.Sign(key, wire.AnswerTranscript(c.Kind, c.ReportData, body))}
		}
		var claimed wire.ClaimAnswer
		if caller.Open(claim, &wire.GuestAnswer{Body: body, Signature: make([]byte, 64)}, &claimed) == nil || caller.Open(claim, sign(ready), &claimed) == nil {
			t.Fatalf("unsigned, or for another call: %q", body)
		}
		if caller.Open(claim, sign(claim), &claimed) == nil && (claimed.Instance.IsZero() || len(claimed.Share) != wire.SealedShareSize || claimed.Generation != 0) {
			t.Errorf("took %+v", claimed)
		}
		var answer wire.InstanceAnswer
		if caller.Open(ready, sign(ready), &answer) == nil && (answer.Instance.IsZero() || answer.Generation == 0 || answer.Generation >= wire.MaxGeneration) {
			t.Errorf("took %+v", answer)
		}
	})
}

// TestOpen tells apart why an answer is refused.
func TestOpen(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	caller := guestcall.Caller{Identity: key.Public().(ed25519.PublicKey)}
	call := guestcall.Call{Kind: wire.CallReady}
	for body, want := range map[string]string{
		"":                     "malformed message",
		"{":                    "not the answer of a SnpGuard service",
		`{"state":"new"}`:      "malformed message",
		`{"state":1}`:          "not the answer",
		`{"STATE":"ready"}`:    "unknown field",
		`{"a":1,"a":2}`:        "twice",
		strings.Repeat(" ", 9): "not the answer",
	} {
		signed := &wire.GuestAnswer{Body: []byte(body), Signature: ed25519.Sign(key, wire.AnswerTranscript(call.Kind, call.ReportData, []byte(body)))}
		if err := caller.Open(call, signed, &wire.InstanceAnswer{}); !errors.Is(err, service.ErrAnswer) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
	}
}
