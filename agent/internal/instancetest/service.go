// Package instancetest has a service for tests of the agent: it plays the states of an
// instance as docs/protocol.md has them, signs what it answers, and believes any report.
package instancetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// Instance is a row of the service.
type Instance struct {
	State      wire.InstanceState
	Sealed     [32]byte // by which it is claimed
	Share      []byte
	Generation uint64
	Recovery   []byte

	latest  boot
	granted uint64 // generation of the latest grant
}

// boot is who may call.
type boot struct {
	report [32]byte // REPORT_ID
	key    [wire.BootKeySize]byte
}

// Service is a service with one image and its instances.
type Service struct {
	Image     wire.UUID
	Golden    []byte
	Identity  ed25519.PrivateKey
	Unsealing *seal.PrivateKey
	Instances map[wire.UUID]*Instance
	None      bool // the image has no instances

	// Before is told of each call before it is answered, and After when it was done and
	// its answer has yet to leave; an answer that one of them holds back is lost.
	Before, After func(path string) (lost bool)
	// Grant and Answer change what is about to be signed.
	Grant  func(*wire.Grant)
	Answer func(call wire.Call, answer *wire.ClaimAnswer)
	// Signed changes what was signed.
	Signed func(*wire.GuestAnswer)

	mu     sync.Mutex
	nonces map[string]bool
	Denied []string // why, in the words of the audit log
}

// New returns a service whose image has one instance, a new one.
func New(tb testing.TB, image, instance wire.UUID, golden []byte) *Service {
	tb.Helper()
	unsealing, err := seal.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Service{
		Image: image, Golden: golden, Identity: identity, Unsealing: unsealing,
		Instances: map[wire.UUID]*Instance{}, nonces: map[string]bool{},
	}
	s.Add(instance)
	return s
}

// Add makes a new instance.
func (s *Service) Add(instance wire.UUID) {
	share := make([]byte, wire.KeyShareSize)
	rand.Read(share)
	s.Instances[instance] = &Instance{State: wire.StateNew, Share: share}
}

// Serve starts the service and returns its URL and certificate, which is its own CA, DER.
func (s *Service) Serve(tb testing.TB) (url string, ca []byte) {
	tb.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.PathChallenge, s.challenge)
	mux.HandleFunc("POST "+wire.PathUnlock, s.answered(s.unlock))
	for call, do := range map[wire.Call]func(*Instance, wire.UUID, [64]byte, []byte) (any, string){
		wire.CallClaim: s.claim, wire.CallReady: s.ready, wire.CallCommit: s.commit,
	} {
		mux.HandleFunc("POST "+call.Path(), s.answered(func(r *http.Request) (any, string) { return s.call(call, r, do) }))
	}
	server := httptest.NewTLSServer(mux)
	tb.Cleanup(server.Close)
	return server.URL, server.Certificate().Raw
}

func (s *Service) challenge(w http.ResponseWriter, _ *http.Request) {
	nonce := make([]byte, wire.NonceSize)
	rand.Read(nonce)
	s.mu.Lock()
	s.nonces[string(nonce)] = true
	s.mu.Unlock()
	write(w, http.StatusOK, "application/json", wire.Challenge{Nonce: nonce, ExpiresIn: 60})
}

// answered has a call answered or denied, or its answer lost.
func (s *Service) answered(do func(*http.Request) (answer any, denied string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Before != nil && s.Before(r.URL.Path) {
			panic(http.ErrAbortHandler)
		}
		answer, denied := do(r)
		if s.After != nil && s.After(r.URL.Path) {
			panic(http.ErrAbortHandler)
		}
		if denied != "" {
			s.Denied = append(s.Denied, denied)
			write(w, http.StatusForbidden, wire.ProblemContentType, wire.Problem{Code: wire.CodeDenied, Status: http.StatusForbidden, RequestID: "r"})
			return
		}
		write(w, http.StatusOK, "application/json", answer)
	}
}

func write(w http.ResponseWriter, status int, kind string, v any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the agent may have gone
}

// Offsets in a report (56860, table ATTESTATION_REPORT).
const (
	OffsetReportData = 0x50
	OffsetHostData   = 0xC0
	OffsetReportID   = 0x140
)

func hostData(report []byte) [wire.HostDataSize]byte { return [32]byte(report[OffsetHostData:]) }

// used takes a nonce of this service once.
func (s *Service) used(nonce []byte) bool {
	fresh := s.nonces[string(nonce)]
	delete(s.nonces, string(nonce))
	return fresh
}

// now is the service's time.
func now() int64 { return time.Now().UnixMilli() }

func hash(b []byte) [32]byte { return sha256.Sum256(b) }
