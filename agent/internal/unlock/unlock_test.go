package unlock_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/report"
	"github.com/snpguard-go/packer-plugin-snpguard/agent/internal/unlock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/identity"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// run lets an agent try until it has the key, or once it has tried.
func run(t *testing.T, w *world, rounds int, change func(*unlock.Session)) (*unlock.Result, error) {
	t.Helper()
	s, err := unlock.New(w.config, launch(t), w.sealed, wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	l, paths := loop(t), loop(t).Paths
	l.Paths = func() []unlock.Path {
		if rounds--; rounds < 0 {
			cancel(errors.New("enough"))
			return nil
		}
		return paths()
	}
	return s.Run(ctx, l)
}

func TestUnlock(t *testing.T) {
	began := time.Now().Truncate(time.Millisecond)
	w := newWorld(t)
	w.config.Services = []string{w.serve(t, w.handler(nil), w.ca.leaf(t, goodLeaf()))}
	r, err := run(t, w, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.Golden, w.vmk) || r.Service != w.config.Services[0] || r.Path != "eth0" {
		t.Errorf("got %+v", r)
	}
	if r.Time.Before(began) || r.Time.After(time.Now()) || r.Came.Before(began) {
		t.Errorf("granted at %v, came at %v", r.Time, r.Came)
	}
	sent := w.requests[0]
	data := w.binding.ReportData()
	if !bytes.Equal(sent.Report[0x50:0x90], data[:]) || !bytes.Equal(sent.SealedVMK, w.sealed) || string(sent.Certificates) != "table" {
		t.Error("the request does not carry what the agent has")
	}
}

// TestAnswers has services with a good certificate and bad answers. Those
// behind an attacker's service of the right CA come here too.
func TestAnswers(t *testing.T) {
	write := func(kind, body string, status int) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			io.WriteString(rw, body) //nolint:errcheck // the agent may have gone
		}
	}
	change := func(w *world, f func(*wire.Grant)) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			g := w.grant(r)
			f(&g)
			answer(rw, g)
		}
	}
	for name, tc := range map[string]struct {
		path    string
		handler func(*world) http.HandlerFunc
		want    string
	}{
		"wrong identity key": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			_, w.identity, _ = ed25519.GenerateKey(rand.Reader)
			return nil
		}, "not signed"},
		"other VMK": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			w.vmk = bytes.Repeat([]byte{7}, wire.VMKSize)
			return nil
		}, "not the measured one"},
		"short VMK": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			w.vmk = w.vmk[1:]
			return nil
		}, "malformed message"},
		"replayed grant": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				w.grant(r)
				old := w.binding
				old.Nonce = make([]byte, wire.NonceSize)
				answer(rw, w.sign(old, w.vmk))
			}
		}, "not signed"},
		"grant for another guest": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				w.grant(r)
				other, _ := seal.GenerateKey()
				key := w.binding.PublicKey
				w.binding.PublicKey = other.Public().Bytes()
				g := w.sign(w.binding, w.vmk)
				w.binding.PublicKey = key
				data := w.binding.ReportData()
				g.Signature = ed25519.Sign(w.identity, wire.GrantTranscript(data, &g))
				answer(rw, g)
			}
		}, seal.ErrOpen.Error()},
		"changed ciphertext": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return change(w, func(g *wire.Grant) { g.Ciphertext[0] ^= 1 })
		}, "not signed"},
		"changed time": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return change(w, func(g *wire.Grant) { g.Time += 10 * 365 * 24 * 60 * 60 * 1000 })
		}, "not signed"},
		"no time": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return change(w, func(g *wire.Grant) { g.Time = 0 })
		}, "malformed message"},
		"changed enc": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return change(w, func(g *wire.Grant) { g.Enc[0] ^= 1 })
		}, "not signed"},
		"no signature": {wire.PathUnlock, func(w *world) http.HandlerFunc {
			return change(w, func(g *wire.Grant) { g.Signature = nil })
		}, "malformed message"},
		"short nonce": {wire.PathChallenge, func(*world) http.HandlerFunc {
			return func(rw http.ResponseWriter, _ *http.Request) { answer(rw, wire.Challenge{Nonce: make([]byte, 63)}) }
		}, "malformed message"},
		"oversized body": {wire.PathChallenge, func(*world) http.HandlerFunc {
			return write("application/json", strings.Repeat(" ", 65<<10)+"{}", 200)
		}, "more than 65536 bytes"},
		"oversized header": {wire.PathChallenge, func(*world) http.HandlerFunc {
			return func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X", strings.Repeat("x", 20<<10)) }
		}, "headers exceeded"},
		"garbage": {wire.PathUnlock, func(*world) http.HandlerFunc { return write("application/json", "\x00{", 200) }, "not the answer"},
		"field twice": {wire.PathChallenge, func(*world) http.HandlerFunc {
			return write("application/json", `{"nonce":"AA==","nonce":"AA=="}`, 200)
		}, "twice"},
		"other case":    {wire.PathUnlock, func(*world) http.HandlerFunc { return write("application/json", `{"Enc":"AA=="}`, 200) }, "unknown field"},
		"two answers":   {wire.PathUnlock, func(*world) http.HandlerFunc { return write("application/json", "{}{}", 200) }, "trailing data"},
		"a page":        {wire.PathChallenge, func(*world) http.HandlerFunc { return write("text/html", "{}", 200) }, "content type"},
		"a strange 403": {wire.PathUnlock, func(*world) http.HandlerFunc { return write("text/html", "no", 403) }, "status 403"},
		"no content":    {wire.PathUnlock, func(*world) http.HandlerFunc { return write("application/json", "", 204) }, "status 204"},
		"redirect": {wire.PathChallenge, func(*world) http.HandlerFunc {
			return func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, wire.PathUnlock, http.StatusTemporaryRedirect)
			}
		}, "status 307"},
		"slow body": {wire.PathChallenge, func(w *world) http.HandlerFunc {
			return func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				rw.(http.Flusher).Flush()
				<-w.over
			}
		}, "exceeded"},
		"unavailable": {wire.PathUnlock, func(*world) http.HandlerFunc {
			return write(wire.ProblemContentType, `{"code":"unavailable","request_id":"r1"}`, 503)
		}, `service answers "unavailable" (request r1)`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			good := w.handler(nil)
			handlers := map[string]http.HandlerFunc{}
			if h := tc.handler(w); h != nil {
				handlers[tc.path] = h
				good = w.handler(handlers)
			}
			w.config.Services = []string{w.serve(t, good, w.ca.leaf(t, goodLeaf()))}
			r, err := runLogged(t, w, func(s *unlock.Session) { s.SetTimeout(2 * time.Second) })
			if r != nil || !strings.Contains(err, tc.want) {
				t.Errorf("got %v, %q, want %q", r, err, tc.want)
			}
		})
	}
}

// runLogged returns what the one round logged.
func runLogged(t *testing.T, w *world, change func(*unlock.Session)) (*unlock.Result, string) {
	t.Helper()
	s, err := unlock.New(w.config, launch(t), w.sealed, wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	change(s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := loop(t)
	var logged string
	l.Log = func(_ string, args ...any) {
		logged = args[0].(error).Error()
		cancel()
	}
	r, err := s.Run(ctx, l)
	if err == nil {
		t.Error("no error")
	}
	return r, logged
}

// TestHTTP2IsNotSpoken has services that offer both protocols, as all here do.
func TestHTTP2IsNotSpoken(t *testing.T) {
	w := newWorld(t)
	var protocol string
	inner := w.handler(nil)
	w.config.Services = []string{w.serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		protocol = r.Proto
		inner.ServeHTTP(rw, r)
	}), w.ca.leaf(t, goodLeaf()))}
	if _, err := run(t, w, 1, nil); err != nil || protocol != "HTTP/1.1" {
		t.Errorf("%v by %s", err, protocol)
	}
}

// TestOneKeyABoot repeats after a lost answer with the same ephemeral key and
// another nonce.
func TestOneKeyABoot(t *testing.T) {
	w := newWorld(t)
	lost := 0
	w.config.Services = []string{w.serve(t, w.handler(map[string]http.HandlerFunc{
		wire.PathUnlock: func(rw http.ResponseWriter, r *http.Request) {
			g := w.grant(r)
			if lost++; lost == 1 {
				panic(http.ErrAbortHandler)
			}
			answer(rw, g)
		},
	}), w.ca.leaf(t, goodLeaf()))}
	if _, err := run(t, w, 2, nil); err != nil {
		t.Fatal(err)
	}
	first, second := w.requests[0], w.requests[1]
	if !bytes.Equal(first.PublicKey, second.PublicKey) || bytes.Equal(first.Nonce, second.Nonce) || bytes.Equal(first.Report, second.Report) {
		t.Error("the retry is not the same boot with a new report")
	}
}

func TestServicesInTurn(t *testing.T) {
	w := newWorld(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	good := w.serve(t, w.handler(nil), w.ca.leaf(t, goodLeaf()))
	w.config.Services = []string{"https://" + closed.Addr().String(), good}
	if r, err := run(t, w, 1, nil); err != nil || r.Service != good {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestNothingToWorkWith(t *testing.T) {
	w := newWorld(t)
	if _, err := unlock.New(w.config, launch(t), w.sealed[1:], wire.InstanceDisk{}); err == nil {
		t.Error("a short sealed key was taken")
	}
	forgeable := *w.config
	forgeable.IdentityKey = make([]byte, 32)
	if _, err := unlock.New(&forgeable, launch(t), w.sealed, wire.InstanceDisk{}); !errors.Is(err, identity.ErrKey) {
		t.Errorf("an identity key under which anybody signs grants: %v", err)
	}
	w.config.Services = []string{w.serve(t, w.handler(nil), w.ca.leaf(t, goodLeaf()))}
	if _, err := run(t, w, 0, nil); !errors.Is(err, unlock.ErrNoPath) || !strings.Contains(err.Error(), "enough") {
		t.Errorf("without a network: %v", err)
	}
	broken := errors.New("firmware is busy")
	silent := report.LaunchOf(func([report.DataSize]byte) (*report.Evidence, error) { return nil, broken }, [wire.HostDataSize]byte{})
	s, err := unlock.New(w.config, silent, w.sealed, wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Run(ctx, loop(t)); !errors.Is(err, broken) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a report: %v", err)
	}
}

// TestErrorsInOneLine has a service that is listed twice and two ways to it:
// each way is told, and told once.
func TestErrorsInOneLine(t *testing.T) {
	w := newWorld(t)
	w.config.Services = []string{"https://127.0.0.1:1", "https://127.0.0.1:1"}
	s, err := unlock.New(w.config, launch(t), w.sealed, wire.InstanceDisk{})
	if err != nil {
		t.Fatal(err)
	}
	broken := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no carrier") }
	ctx, cancel := context.WithCancel(t.Context())
	l := loop(t)
	l.Paths = func() []unlock.Path { return []unlock.Path{{Name: "eth0", Dial: broken}, {Name: "eth1", Dial: broken}} }
	l.Log = func(_ string, args ...any) {
		if got, want := args[0].(error).Error(), "https://127.0.0.1:1 by eth0: no carrier; https://127.0.0.1:1 by eth1: no carrier"; got != want {
			t.Errorf("logged %s", got)
		}
		cancel()
	}
	if _, err := s.Run(ctx, l); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
