package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/nonce"
)

// Config is what a Service works with. All of it is needed but Observe and ObserveRollback.
type Config struct {
	Nonces    *nonce.Issuer
	Launches  Launches
	Instances Instances
	Shares    Shares
	Tally     *Tally // which has the log
	Verifier  *attest.Verifier
	Endorser  Endorser
	Ingestion *seal.PrivateKey
	Identity  ed25519.PrivateKey
	Simulated bool // the verifier trusts a simulated AMD; false for AMD's own roots
	Now       func() time.Time
	Log       *slog.Logger

	// Observe is told each outcome, ReasonUndecided too, and how long it took.
	Observe func(reason audit.Reason, took time.Duration)

	// ObserveRollback is told each disk of an instance that showed an older generation
	// than was committed, and what became of it.
	ObserveRollback func(Rollback)
}

// Service releases volume keys. It is safe for concurrent use.
type Service struct {
	Config
	opened openedReleases
}

// New returns a Service.
func New(config Config) *Service {
	if config.Observe == nil {
		config.Observe = func(audit.Reason, time.Duration) {}
	}
	if config.ObserveRollback == nil {
		config.ObserveRollback = func(Rollback) {}
	}
	return &Service{Config: config}
}

// Challenge returns a fresh nonce.
func (s *Service) Challenge() *wire.Challenge {
	return &wire.Challenge{Nonce: s.Nonces.New(), ExpiresIn: int(nonce.Lifetime / time.Second)}
}

// Unlock decides a request whose fields have their right sizes. The error is a
// *Denial, which is on record, or wraps ErrUnavailable.
func (s *Service) Unlock(ctx context.Context, request *wire.UnlockRequest, caller Caller) (*wire.Grant, error) {
	start := s.Now()
	grant, reason, err := s.unlock(ctx, request, caller, start)
	s.Observe(reason, s.Now().Sub(start))
	s.log(caller, err)
	return grant, err
}

// unlock returns the reason too, for Observe.
func (s *Service) unlock(ctx context.Context, request *wire.UnlockRequest, caller Caller, start time.Time) (*wire.Grant, audit.Reason, error) {
	a := s.attempt(evidenceOf(request), caller, start)
	grant, err := a.decide(ctx, request)
	if err != nil {
		return nil, audit.ReasonUndecided, err
	}
	a.record.Verified = a.verified != nil
	if a.record.denied() && !a.record.Verified {
		// Nothing was given that a replay could have again, and whoever repeats the
		// request is denied again. A forged one must leave nothing behind.
		a.record.Nonce = nil
	}
	recorded, err := s.Tally.Record(ctx, a.record)
	switch {
	case err != nil:
		return nil, audit.ReasonUndecided, unavailable("record the outcome", err)
	case recorded.Reason == audit.ReasonInstanceChanged:
		return nil, audit.ReasonUndecided, unavailable("decide", errors.New("the instance was changed meanwhile"))
	}
	a.observeRollback(recorded)
	switch {
	case !recorded.Granted():
		return nil, recorded.Reason, &Denial{recorded.Reason, recorded.Rule, recorded.Expected, recorded.Found}
	case recorded.Retry:
		return grant, audit.ReasonGrantedAgain, nil
	}
	return grant, audit.ReasonGranted, nil
}

func (s *Service) attempt(evidence Evidence, caller Caller, start time.Time) *attempt {
	return &attempt{Service: s, evidence: evidence, caller: caller, record: Record{
		Audit: audit.Record{Time: start, RequestID: caller.RequestID, Address: caller.Address, Report: evidence.Report}, Block: caller.Block,
	}}
}

func evidenceOf(r *wire.UnlockRequest) Evidence {
	return Evidence{Report: r.Report, Certificates: r.Certificates, Nonce: r.Nonce, Data: func(image, instance wire.UUID) [64]byte {
		return wire.UnlockBinding{
			Nonce: r.Nonce, PublicKey: r.PublicKey, BootKey: r.BootKey, Image: image, Instance: instance,
			SealedVMK: sha256.Sum256(r.SealedVMK), Disk: r.Disk.Hash(),
		}.ReportData()
	}}
}

// log says what became of a request.
func (s *Service) log(caller Caller, err error) { s.logOf("unlock", "unlock granted", caller, err) }

func (s *Service) logOf(what, done string, caller Caller, err error) {
	log := s.Log.With("request_id", caller.RequestID, "address", caller.Address)
	var denial *Denial
	switch {
	case err == nil:
		log.Info(done)
	case errors.As(err, &denial):
		log.Warn(what+" denied", "reason", denial.Reason, "rule", denial.Rule, "expected", denial.Expected, "found", denial.Found)
	default:
		log.Error(what+" not decided", "error", err)
	}
}
