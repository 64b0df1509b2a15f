package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// attempt is one request while it is decided.
type attempt struct {
	*Service
	request    *wire.UnlockRequest
	caller     Caller
	report     *snp.Report
	reportData [64]byte
	launch     *Launch
	release    *openedRelease
	verified   *attest.Verified
	record     Record
}

// decide runs the checks in their order. It returns a grant or notes the denial
// in the record; the error wraps ErrUnavailable.
func (a *attempt) decide(ctx context.Context) (*wire.Grant, error) {
	for _, check := range []func(context.Context) error{
		a.checkNonce, a.checkReport, a.checkBinding, a.checkVMPL, a.findLaunch, a.checkLaunch,
		a.verify, a.checkRevocation, a.checkPolicy,
	} {
		if err := check(ctx); err != nil {
			return nil, a.deny(err)
		}
	}
	grant, err := a.seal()
	if err != nil {
		return nil, a.deny(err)
	}
	a.record.ReportID, a.record.PublicKey, a.record.Launch = a.report.ReportID, a.request.PublicKey, a.launch
	return grant, nil
}

// deny notes a denial and lets every other error pass.
func (a *attempt) deny(err error) error {
	var denial *Denial
	if !errors.As(err, &denial) {
		return err
	}
	a.record.Denial = denial.bounded()
	return nil
}

func (a *attempt) checkNonce(context.Context) error {
	expires, err := a.Nonces.Check(a.request.Nonce)
	if err == nil {
		a.record.Nonce, a.record.NonceExpires = a.request.Nonce, expires
		return nil
	}
	reason := ReasonNonceForged
	if !expires.IsZero() {
		reason = ReasonNonceExpired
	}
	return &Denial{Reason: reason, Rule: "nonce", Expected: "a fresh nonce of this service", Found: err.Error()}
}

func (a *attempt) checkReport(context.Context) error {
	report, err := snp.ParseReport(a.request.Report)
	if err != nil {
		return &Denial{Reason: ReasonReportFormat, Rule: "report", Expected: "an attestation report of version 2 or later", Found: err.Error()}
	}
	a.report = report
	a.record.ChipID = report.ChipID[:]
	a.record.TCB = fmt.Sprintf("%x", report.ReportedTCB)
	return nil
}

// checkBinding wants the report to have been made for this very request.
func (a *attempt) checkBinding(context.Context) error {
	a.reportData = wire.UnlockBinding{
		Nonce: a.request.Nonce, PublicKey: a.request.PublicKey,
		Image: wire.UUID(a.report.FamilyID), SealedVMK: sha256.Sum256(a.request.SealedVMK),
	}.ReportData()
	if a.report.ReportData != a.reportData {
		return &Denial{Reason: ReasonBinding, Rule: "report_data", Expected: fmt.Sprintf("%x", a.reportData), Found: fmt.Sprintf("%x", a.report.ReportData)}
	}
	return nil
}

// checkVMPL holds before anything is looked up: user space and lower privilege
// levels of a guest never get the key, whatever a policy says.
func (a *attempt) checkVMPL(context.Context) error {
	if a.report.VMPL != 0 {
		return &Denial{Reason: ReasonVMPL, Rule: "vmpl", Expected: "0", Found: fmt.Sprint(a.report.VMPL)}
	}
	return nil
}

func (a *attempt) findLaunch(ctx context.Context) error {
	r := a.report
	unknown := &Denial{
		Reason: ReasonLaunchUnknown, Rule: "id_key_digest, author_key_digest, image_id", Expected: "a registered release",
		Found: fmt.Sprintf("%x, %x, %x", r.IDKeyDigest, r.AuthorKeyDigest, r.ImageID),
	}
	if !r.AuthorKeyEn {
		return unknown
	}
	launch, err := a.Launches.Launch(ctx, r.IDKeyDigest, r.AuthorKeyDigest, wire.UUID(r.ImageID))
	if err != nil {
		return unavailable("look up launch", err)
	}
	if launch == nil {
		return unknown
	}
	a.launch = launch
	a.record.Image, a.record.Release = launch.Image, launch.Release
	return a.checkStanding()
}

// checkStanding wants what the operators decided of image and release.
func (a *attempt) checkStanding() error {
	switch {
	case a.launch.Simulated != a.Simulated:
		return &Denial{Reason: ReasonSimulated, Rule: "simulated", Expected: kind(a.Simulated), Found: kind(a.launch.Simulated)}
	case !a.launch.ImageEnabled:
		return &Denial{Reason: ReasonImageDisabled, Rule: "enabled", Expected: "an enabled image", Found: "disabled"}
	case a.launch.ReleaseProposed:
		return &Denial{Reason: ReasonReleaseProposed, Rule: "approved", Expected: "an approved release", Found: "proposed"}
	case !a.launch.ReleaseEnabled:
		return &Denial{Reason: ReasonReleaseDisabled, Rule: "enabled", Expected: "an enabled release", Found: "disabled"}
	}
	return nil
}

// kind names images by the root that was trusted when they were registered.
func kind(simulated bool) string {
	if simulated {
		return "an image of a simulated AMD"
	}
	return "an image of AMD"
}

// checkLaunch compares what was launched with what was registered.
func (a *attempt) checkLaunch(context.Context) error {
	r, l := a.report, a.launch
	if r.FamilyID != l.Image {
		return &Denial{Reason: ReasonFamilyID, Rule: "family_id", Expected: l.Image.String(), Found: wire.UUID(r.FamilyID).String()}
	}
	if !measured(l.Measurements, r.Measurement) {
		return &Denial{Reason: ReasonMeasurement, Rule: "measurement", Expected: hexList(l.Measurements), Found: fmt.Sprintf("%x", r.Measurement)}
	}
	if r.Policy != l.GuestPolicy {
		return &Denial{Reason: ReasonGuestPolicy, Rule: "guest_policy", Expected: fmt.Sprintf("%#x", l.GuestPolicy), Found: fmt.Sprintf("%#x", r.Policy)}
	}
	if r.GuestSVN != l.GuestSVN {
		return &Denial{Reason: ReasonGuestSVN, Rule: "guest_svn", Expected: fmt.Sprint(l.GuestSVN), Found: fmt.Sprint(r.GuestSVN)}
	}
	return nil
}

// checkPolicy judges the genuine report by the report policies of the image and of
// the release: what a release adds can only tighten.
func (a *attempt) checkPolicy(context.Context) error {
	a.record.TCB = a.verified.ReportedTCB.String()
	release, err := a.opened.get(a.launch, a.Ingestion)
	if err != nil {
		return unavailable("open release", err)
	}
	a.release = release
	for _, policy := range release.policies {
		if err := judge(attest.Evaluate(a.verified, policy)); err != nil {
			return err
		}
	}
	return nil
}

// judge returns the first rule that a report does not meet as a denial.
func judge(results attest.Results) error {
	if results.Acceptable() {
		return nil
	}
	if failed := results.Failed(); len(failed) > 0 {
		f := failed[0]
		return &Denial{Reason: Reason(f.Name), Rule: f.Name, Expected: f.Expected, Found: f.Found}
	}
	return unavailable("evaluate policy", errors.New("no rule was applied"))
}

// seal opens the VMK and seals it to the guest.
func (a *attempt) seal() (*wire.Grant, error) {
	guest, err := seal.ParsePublicKey(a.request.PublicKey)
	if err != nil {
		return nil, &Denial{Reason: ReasonPublicKey, Rule: "public_key", Expected: "an MLKEM768-X25519 key", Found: err.Error()}
	}
	vmk, err := a.release.key.Open(wire.SealedVMKInfo(a.launch.Image), a.request.SealedVMK)
	if err != nil {
		return nil, &Denial{Reason: ReasonSealedVMK, Rule: "sealed_vmk", Expected: "a VMK sealed to this release's key", Found: err.Error()}
	}
	defer clear(vmk)
	sealed, err := guest.Seal(wire.GrantInfo(a.reportData), vmk)
	if err != nil {
		return nil, unavailable("seal", err)
	}
	grant := &wire.Grant{Enc: sealed[:wire.EncSize], Ciphertext: sealed[wire.EncSize:]}
	grant.Signature = ed25519.Sign(a.Identity, wire.GrantTranscript(a.reportData, grant.Enc, grant.Ciphertext))
	return grant, nil
}
