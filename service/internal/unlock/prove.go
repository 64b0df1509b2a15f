package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Proven is a running guest that would be given its key: its report is genuine,
// acceptable, and of a release that is in force.
type Proven struct {
	Report     *snp.Report
	ReportData [64]byte
	Launch     *store.Launch
	Nonce      store.Nonce // not used up yet

	record audit.Record
	key    *seal.PrivateKey // unsealing key of the image
}

// Record returns a record about the guest, with what its report says.
func (p *Proven) Record() audit.Record { return p.record }

// Withdrawn returns why the release is not in force any more as it was looked up, or nil;
// s is what the database has of it now.
func (p *Proven) Withdrawn(s *store.Standing) *Denial {
	return withdrawn(p.Launch.Release.ID, p.Launch.Seen, s)
}

// CheckGuestSecret wants a secret that an unlock of this instance can open. The error is
// a *Denial.
func (p *Proven) CheckGuestSecret(instance wire.UUID, sealed []byte) error {
	secret, err := guestSecret(p.key, p.Launch.Image.ID, instance, sealed)
	clear(secret)
	return err
}

// Prove decides whether a guest that has booted is who it says, by the checks of an
// unlock. call names what it asks for, in the record of a denial. The error is a
// *Denial, which is on record or counted, or wraps ErrUnavailable.
func (s *Service) Prove(ctx context.Context, call string, evidence Evidence, caller Caller) (*Proven, error) {
	a := s.attempt(evidence, caller, s.Now())
	err := a.prove(ctx)
	if err == nil {
		if a.launch.Image.Instances.Mode != wire.InstancesNone {
			a.record.Audit.InstanceID = wire.HostInstance(a.report.HostData)
		}
		return &Proven{
			Report: a.report, ReportData: a.reportData, Launch: a.launch, record: a.record.Audit, key: a.release.key,
			Nonce: store.Nonce{Hash: sha256.Sum256(evidence.Nonce), Expires: a.record.Nonce.Expires},
		}, nil
	}
	return nil, s.refuse(ctx, call, a, err)
}

// CheckBoot wants the guest to be a launch of its instance, by REPORT_ID, and the call to
// be signed by that launch's boot key, which never leaves the guest's memory.
func (p *Proven) CheckBoot(of store.Boot, signature []byte) *Denial {
	switch {
	case of == (store.Boot{}):
		return &Denial{Reason: audit.ReasonBootSuperseded, Rule: "report_id", Expected: "a launch that was granted its keys", Found: "no launch was"}
	case p.Report.ReportID != of.ReportID:
		return &Denial{
			Reason: audit.ReasonBootSuperseded, Rule: "report_id",
			Expected: fmt.Sprintf("REPORT_ID %x, the instance's last launch", of.ReportID), Found: fmt.Sprintf("REPORT_ID %x", p.Report.ReportID),
		}
	case !ed25519.Verify(of.BootKey[:], wire.BootCallTranscript(p.ReportData), signature):
		return &Denial{
			Reason: audit.ReasonBootKey, Rule: "boot_signature",
			Expected: fmt.Sprintf("a signature by boot key %x", of.BootKey), Found: "another signature, or none",
		}
	}
	return nil
}

// Refuse denies a guest that was proven, for a reason that only the database knew.
func (s *Service) Refuse(ctx context.Context, call string, p *Proven, caller Caller, denial *Denial) error {
	a := s.attempt(Evidence{}, caller, s.Now())
	a.record.Audit = p.record
	return s.refuse(ctx, call, a, denial)
}

// refuse records a denial, or counts it: guests that run a retired release ask every
// day, each of them, and that is known after the first. It uses up no nonce.
func (s *Service) refuse(ctx context.Context, call string, a *attempt, err error) error {
	defer func() { s.logOf(call, "", a.caller, err) }()
	if undecided := a.deny(err); undecided != nil {
		return undecided
	}
	a.record.Nonce = nil
	a.record.Audit = a.record.Audit.WithDetail("call", call)
	if _, failed := s.Tally.Record(ctx, a.record); failed != nil {
		err = unavailable("record the outcome", failed)
	}
	return err
}

// Denied says in the log that a call of a guest was denied, which is on record.
func (s *Service) Denied(call string, caller Caller, denial *Denial) {
	s.logOf(call, "", caller, denial)
}

// Answered says in the log that a call of a guest was answered.
func (s *Service) Answered(call string, caller Caller) { s.logOf(call, call+" answered", caller, nil) }
