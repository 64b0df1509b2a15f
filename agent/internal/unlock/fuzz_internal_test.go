package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/guestcall"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/service"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// answered is a service that gives one answer.
type answered struct {
	status            int
	kind, after, body string
}

func (a answered) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {a.kind}, "Retry-After": {a.after}}, Body: io.NopCloser(strings.NewReader(a.body)),
	}, nil
}

// FuzzAnswer takes what somebody in the service's place answers for a grant.
// Nothing that the fuzzer makes is signed, so no key comes of it.
func FuzzAnswer(f *testing.F) {
	key, err := seal.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	identity, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	launch := report.LaunchOf(nil, wire.HostData(wire.UUID{1}))
	session := &Session{key: key, caller: guestcall.Caller{Identity: identity, Launch: launch}}
	good, err := json.Marshal(wire.Grant{
		Time: wire.MinTime, State: wire.StateNone,
		Enc: make([]byte, wire.EncSize), Ciphertext: make([]byte, wire.VMKSize+16), Signature: make([]byte, ed25519.SignatureSize),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, "application/json", "", string(good))
	f.Add(200, "application/json; charset=utf-8", "", "{}")
	f.Add(200, "text/html", "", "<html>")
	f.Add(403, wire.ProblemContentType, "", `{"code":"denied","request_id":"a"}`)
	f.Add(503, wire.ProblemContentType, "99999999999", `{"code":"unavailable","request_id":"\n\u001b[2J"}`)
	f.Fuzz(func(t *testing.T, status int, kind, after, body string) {
		c := service.Over(answered{status, kind, after, body}, "http://service", 0)
		var grant wire.Grant
		err := c.Post(context.Background(), wire.PathUnlock, nil, &grant)
		if err != nil {
			return
		}
		if _, err = session.open([report.DataSize]byte{}, &grant); !errors.Is(err, service.ErrAnswer) && !errors.Is(err, errSignature) {
			t.Errorf("%v for %q", err, body)
		}
	})
}
