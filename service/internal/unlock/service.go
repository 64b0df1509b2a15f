package unlock

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
)

// Config is what a Service works with. All of it is needed but Observe.
type Config struct {
	Nonces    *nonce.Issuer
	Launches  Launches
	Verifier  *attest.Verifier
	Endorser  Endorser
	Recorder  Recorder
	Ingestion *seal.PrivateKey
	Identity  ed25519.PrivateKey
	Simulated bool // the verifier trusts a simulated AMD; false for AMD's own roots
	Now       func() time.Time

	// Observe is told each outcome, ReasonUndecided too, and how long it took.
	Observe func(reason Reason, took time.Duration)
}

// Service releases volume keys. It is safe for concurrent use.
type Service struct {
	Config
	opened openedReleases
}

// New returns a Service.
func New(config Config) *Service {
	if config.Observe == nil {
		config.Observe = func(Reason, time.Duration) {}
	}
	return &Service{Config: config}
}

// Challenge returns a fresh nonce.
func (s *Service) Challenge() *wire.Challenge {
	return &wire.Challenge{Nonce: s.Nonces.New(), ExpiresIn: int(nonce.Lifetime / time.Second)}
}

// Unlock decides a request whose fields have their right sizes. The error is a
// *Denial, which the Recorder has, or wraps ErrUnavailable.
func (s *Service) Unlock(ctx context.Context, request *wire.UnlockRequest, caller Caller) (*wire.Grant, error) {
	start := s.Now()
	grant, reason, err := s.unlock(ctx, request, caller, start)
	s.Observe(reason, s.Now().Sub(start))
	return grant, err
}

// unlock returns the reason too, for Observe.
func (s *Service) unlock(ctx context.Context, request *wire.UnlockRequest, caller Caller, start time.Time) (*wire.Grant, Reason, error) {
	a := &attempt{Service: s, request: request, caller: caller, record: Record{
		Time: start, RequestID: caller.RequestID, Address: caller.Address, Block: caller.Block, Report: request.Report,
	}}
	grant, err := a.decide(ctx)
	if err != nil {
		return nil, ReasonUndecided, err
	}
	a.record.Verified = a.verified != nil
	if a.record.Denial != nil && !a.record.Verified {
		// Nothing was given that a replay could have again, and whoever repeats the
		// request is denied again. A forged one must leave nothing behind.
		a.record.Nonce = nil
	}
	reason, err := s.Recorder.Record(ctx, a.record)
	if err != nil {
		return nil, ReasonUndecided, unavailable("record the outcome", err)
	}
	switch reason {
	case ReasonGranted, ReasonGrantedAgain:
		return grant, reason, nil
	case ReasonNonceUsed, ReasonReportIDReleased, ReasonLaunchUnknown, ReasonImageDisabled, ReasonReleaseDisabled, ReasonPolicyChanged, ReasonLaunchLimit:
		if d := a.record.Denial; d != nil && d.Reason == reason {
			return nil, reason, d
		}
		return nil, reason, &Denial{Reason: reason}
	}
	if a.record.Denial == nil {
		return nil, ReasonUndecided, unavailable("record the outcome", fmt.Errorf("unknown reason %q", reason))
	}
	return nil, reason, a.record.Denial
}
