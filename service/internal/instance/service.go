package instance

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// Log has calls decided by what the database has, and makes them durable;
// *store.Store does.
type Log interface {
	RecordInstanceCall(ctx context.Context, call store.InstanceCall) (audit.Entry, error)
}

// Config is what a Service works with. All of it is needed.
type Config struct {
	Prover   *unlock.Service // judges reports
	Log      Log
	Shares   unlock.Shares
	Identity ed25519.PrivateKey
	Now      func() time.Time
}

// Service answers boots. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service.
func New(config Config) *Service { return &Service{config} }

// boot is a call while it is answered.
type boot struct {
	*Service
	call   wire.Call
	name   string // of the call, in records and in the log
	caller unlock.Caller
	signed []byte // by the boot key
	guest  *unlock.Proven
	id     wire.UUID // of the instance
}

// begin proves who calls. The body was read into says. The error is a *unlock.Denial or
// wraps unlock.ErrUnavailable or wire.ErrShape.
func (s *Service) begin(ctx context.Context, call wire.Call, c *wire.BootCall, caller unlock.Caller, says interface{ Validate() error }) (*boot, error) {
	if err := strictjson.Decode(c.Body, says); err != nil {
		return nil, fmt.Errorf("%w: body: %w", wire.ErrShape, err)
	}
	if err := says.Validate(); err != nil {
		return nil, err
	}
	name := path.Base(string(call))
	guest, err := s.Prover.Prove(ctx, name, evidenceOf(call, &c.GuestCall), caller)
	if err != nil {
		return nil, err
	}
	b := &boot{Service: s, call: call, name: name, caller: caller, signed: c.BootSignature, guest: guest, id: wire.HostInstance(guest.Report.HostData)}
	if b.id.IsZero() {
		return nil, b.refuse(ctx, unlock.NoInstance(guest.Report.HostData))
	}
	return b, nil
}

// evidenceOf returns what a call shows for who asks.
func evidenceOf(call wire.Call, c *wire.GuestCall) unlock.Evidence {
	return unlock.Evidence{Report: c.Report, Certificates: c.Certificates, Nonce: c.Nonce, Data: func(image, instance wire.UUID) [64]byte {
		return wire.CallBinding{Nonce: c.Nonce, Image: image, Instance: instance, Body: sha256.Sum256(c.Body)}.ReportData(call)
	}}
}

func (b *boot) refuse(ctx context.Context, denial *unlock.Denial) error {
	return b.Prover.Refuse(ctx, b.name, b.guest, b.caller, denial)
}

// step is what a call does to an instance that is its caller's. It changes i, or says
// that the call repeats one that was answered, or denies it.
type step func(i *store.Instance) (again bool, denial *unlock.Denial)

// take has the call decided and recorded, and returns the instance as it is then. The
// error is a *unlock.Denial or wraps unlock.ErrUnavailable.
func (b *boot) take(ctx context.Context, reason audit.Reason, do step) (*store.Instance, error) {
	var after store.Instance
	entry, err := b.Log.RecordInstanceCall(ctx, store.InstanceCall{
		Nonce: b.guest.Nonce, Instance: b.id, Release: b.guest.Launch.Release.ID,
		Decide: func(facts store.InstanceFacts) (store.Instance, audit.Record) {
			record := b.record()
			i, again, denial := b.decide(facts, do)
			if denial != nil {
				return store.Instance{}, record.Denied(denial.Reason, denial.Rule, denial.Expected, denial.Found)
			}
			record.Outcome, record.Reason, record.Retry = audit.OutcomeDone, reason, again
			after = i
			return i, record.WithDetail("generation", fmt.Sprint(i.Generation))
		},
	})
	switch {
	case errors.Is(err, store.ErrDeleted):
		return nil, b.refuse(ctx, &unlock.Denial{
			Reason: audit.ReasonInstanceKey, Rule: "sealed", Expected: "a record that no instance had before it was reset", Found: err.Error(),
		})
	case err != nil:
		return nil, fmt.Errorf("%w: record the call: %w", unlock.ErrUnavailable, err)
	case entry.Outcome == audit.OutcomeDenied:
		denial := &unlock.Denial{Reason: entry.Reason, Rule: entry.Rule, Expected: entry.Expected, Found: entry.Found}
		b.Prover.Denied(b.name, b.caller, denial)
		return nil, denial
	}
	return &after, nil
}

// record returns a record about the call.
func (b *boot) record() audit.Record {
	r := b.guest.Record().WithDetail("call", b.name)
	r.InstanceID = b.id
	return r
}

// decide judges the call by what the database has, while nobody else changes it.
func (b *boot) decide(facts store.InstanceFacts, do step) (store.Instance, bool, *unlock.Denial) {
	refused := func(d *unlock.Denial) (store.Instance, bool, *unlock.Denial) { return store.Instance{}, false, d }
	if facts.NonceUsed {
		return refused(&unlock.Denial{Reason: audit.ReasonNonceUsed, Rule: "nonce", Expected: "a nonce that was not used before", Found: "a used nonce"})
	}
	if d := b.guest.Withdrawn(facts.Standing); d != nil {
		return refused(d)
	}
	if d := unlock.CheckInstance(facts.Instance, b.guest.Launch.Image.ID); d != nil {
		return refused(d)
	}
	i := *facts.Instance
	if d := b.guest.CheckBoot(i.Granted, b.signed); d != nil {
		return refused(d)
	}
	again, d := do(&i)
	if d != nil {
		return refused(d)
	}
	return i, again, nil
}

// answer makes the answer to the call.
func (b *boot) answer(body interface{ Validate() error }) (*wire.GuestAnswer, error) {
	if err := body.Validate(); err != nil {
		return nil, fmt.Errorf("%w: answer: %s", unlock.ErrUnavailable, err.Error()) // its shape is not the caller's fault
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	signature := ed25519.Sign(b.Identity, wire.AnswerTranscript(b.call, b.guest.ReportData, encoded))
	b.Prover.Answered(b.name, b.caller)
	return &wire.GuestAnswer{Body: encoded, Signature: signature}, nil
}

// stateOf returns what an answer says of an instance.
func stateOf(i *store.Instance) wire.InstanceAnswer {
	return wire.InstanceAnswer{Instance: i.ID, State: i.State, Generation: i.Generation}
}
