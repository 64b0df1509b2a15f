package unlock

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/seal"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Evidence is what a guest shows for who it is.
type Evidence struct {
	Report       []byte
	Certificates []byte // the host's table; may be nil
	Nonce        []byte

	// Data returns what REPORT_DATA must be when the report is of an image, and HOST_DATA
	// names this instance; zero for none.
	Data func(image, instance wire.UUID) [64]byte
}

// attempt is one request while it is decided.
type attempt struct {
	*Service
	evidence   Evidence
	caller     Caller
	report     *snp.Report
	reportData [64]byte
	launch     *store.Launch
	release    *openedRelease
	verified   *attest.Verified
	instance   *store.Instance // that HOST_DATA names; nil when the image has none
	record     Record
}

// prove runs the checks of a launch in their order. The error is a *Denial or wraps
// ErrUnavailable.
func (a *attempt) prove(ctx context.Context) error {
	for _, check := range []func(context.Context) error{
		a.checkNonce, a.checkReport, a.checkBinding, a.checkVMPL, a.findLaunch, a.checkLaunch,
		a.verify, a.checkRevocation, a.checkPolicy,
	} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// decide returns a grant or notes the denial in the record; the error wraps
// ErrUnavailable.
func (a *attempt) decide(ctx context.Context, request *wire.UnlockRequest) (*wire.Grant, error) {
	if err := a.prove(ctx); err != nil {
		return nil, a.deny(err)
	}
	if err := a.findInstance(ctx); err != nil {
		return nil, a.deny(err)
	}
	grant, err := a.seal(request)
	if err != nil {
		return nil, a.deny(err)
	}
	a.record.Claim = &store.Claim{
		ReportID: a.report.ReportID, KeyHash: keyHash(request), ReleaseID: a.launch.Release.ID, ImageID: a.launch.Image.ID,
	}
	a.record.Seen, a.record.Limit = a.launch.Seen, a.launch.Image.LaunchLimit
	if a.instance != nil {
		a.record.Instance, a.record.Boot = a.instance, store.Boot{
			ReportID: a.report.ReportID, BootKey: [wire.BootKeySize]byte(request.BootKey), Release: a.launch.Release.ID, Generation: grant.Generation,
		}
	}
	return grant, nil
}

// keyHash is the SHA-256 of both keys of a boot: a retry has the same.
func keyHash(r *wire.UnlockRequest) [32]byte {
	return sha256.Sum256(slices.Concat(r.PublicKey, r.BootKey))
}

// deny notes a denial and lets every other error pass.
func (a *attempt) deny(err error) error {
	var denial *Denial
	if !errors.As(err, &denial) {
		return err
	}
	a.record.Audit = a.record.Audit.Denied(denial.Reason, denial.Rule, denial.Expected, denial.Found)
	return nil
}

func (a *attempt) checkNonce(context.Context) error {
	expires, err := a.Nonces.Check(a.evidence.Nonce)
	if err == nil {
		a.record.Nonce = &store.Nonce{Hash: sha256.Sum256(a.evidence.Nonce), Expires: expires}
		return nil
	}
	reason := audit.ReasonNonceForged
	if !expires.IsZero() {
		reason = audit.ReasonNonceExpired
	}
	return &Denial{Reason: reason, Rule: "nonce", Expected: "a fresh nonce of this service", Found: err.Error()}
}

func (a *attempt) checkReport(context.Context) error {
	report, err := snp.ParseReport(a.evidence.Report)
	if err != nil {
		return &Denial{Reason: audit.ReasonReportFormat, Rule: "report", Expected: "an attestation report of version 2 or later", Found: err.Error()}
	}
	a.report = report
	a.record.Audit.ChipID = report.ChipID[:]
	a.record.Audit.TCB = fmt.Sprintf("%x", report.ReportedTCB)
	return nil
}

// checkBinding wants the report to have been made for this very request.
func (a *attempt) checkBinding(context.Context) error {
	a.reportData = a.evidence.Data(wire.UUID(a.report.FamilyID), wire.HostInstance(a.report.HostData))
	if a.report.ReportData != a.reportData {
		return &Denial{Reason: audit.ReasonBinding, Rule: "report_data", Expected: fmt.Sprintf("%x", a.reportData), Found: fmt.Sprintf("%x", a.report.ReportData)}
	}
	return nil
}

// checkVMPL holds before anything is looked up: user space and lower privilege
// levels of a guest never get the key, whatever a policy says.
func (a *attempt) checkVMPL(context.Context) error {
	if a.report.VMPL != 0 {
		return &Denial{Reason: audit.ReasonVMPL, Rule: "vmpl", Expected: "0", Found: fmt.Sprint(a.report.VMPL)}
	}
	return nil
}

func (a *attempt) findLaunch(ctx context.Context) error {
	r := a.report
	unknown := &Denial{
		Reason: audit.ReasonLaunchUnknown, Rule: "id_key_digest, author_key_digest, image_id", Expected: "a registered release",
		Found: fmt.Sprintf("%x, %x, %x", r.IDKeyDigest, r.AuthorKeyDigest, r.ImageID),
	}
	if !r.AuthorKeyEn {
		return unknown
	}
	launch, err := a.Launches.FindLaunch(ctx, r.IDKeyDigest, r.AuthorKeyDigest, wire.UUID(r.ImageID))
	if errors.Is(err, store.ErrNotFound) {
		return unknown
	}
	if err != nil {
		return unavailable("look up launch", err)
	}
	a.launch = &launch
	a.record.Audit.ImageID, a.record.Audit.ReleaseID = launch.Image.ID, launch.Release.ID
	return a.checkStanding()
}

// checkStanding wants what the operators decided of image and release.
func (a *attempt) checkStanding() error {
	switch {
	case a.launch.Image.Simulated != a.Simulated:
		return &Denial{Reason: audit.ReasonSimulated, Rule: "simulated", Expected: kind(a.Simulated), Found: kind(a.launch.Image.Simulated)}
	case !a.launch.Image.Enabled:
		return &Denial{Reason: audit.ReasonImageDisabled, Rule: "enabled", Expected: "an enabled image", Found: "disabled"}
	}
	if d := notInForce(a.launch.Release.State); d != nil {
		return d
	}
	return nil
}

// notInForce returns why a release of a state unlocks nothing; nil for an approved one.
func notInForce(state wire.ReleaseState) *Denial {
	d := &Denial{Reason: audit.ReasonReleaseProposed, Rule: "state", Expected: "an approved release", Found: cmp.Or(string(state), "no state")}
	switch state {
	case wire.StateApproved:
		return nil
	case wire.StateRejected:
		d.Reason = audit.ReasonReleaseRejected
	case wire.StateRetired:
		d.Reason = audit.ReasonReleaseRetired
	}
	return d
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
	r, image, release := a.report, &a.launch.Image, &a.launch.Release
	if r.FamilyID != image.ID {
		return &Denial{Reason: audit.ReasonFamilyID, Rule: "family_id", Expected: image.ID.String(), Found: wire.UUID(r.FamilyID).String()}
	}
	if !measured(release.Variants, r.Measurement) {
		return &Denial{Reason: audit.ReasonMeasurement, Rule: "measurement", Expected: measurements(release.Variants), Found: fmt.Sprintf("%x", r.Measurement)}
	}
	if r.Policy != release.GuestPolicy {
		return &Denial{Reason: audit.ReasonGuestPolicy, Rule: "guest_policy", Expected: fmt.Sprintf("%#x", release.GuestPolicy), Found: fmt.Sprintf("%#x", r.Policy)}
	}
	if r.GuestSVN != release.GuestSVN {
		return &Denial{Reason: audit.ReasonGuestSVN, Rule: "guest_svn", Expected: fmt.Sprint(release.GuestSVN), Found: fmt.Sprint(r.GuestSVN)}
	}
	return nil
}

// checkPolicy judges the genuine report by the report policies of the image and of
// the release: what a release adds can only tighten.
func (a *attempt) checkPolicy(context.Context) error {
	a.record.Audit.TCB = a.verified.ReportedTCB.String()
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
		return &Denial{Reason: audit.Reason(f.Name), Rule: f.Name, Expected: f.Expected, Found: f.Found}
	}
	return unavailable("evaluate policy", errors.New("no rule was applied"))
}

// seal opens the keys and seals them to the guest.
func (a *attempt) seal(request *wire.UnlockRequest) (*wire.Grant, error) {
	guest, err := seal.ParsePublicKey(request.PublicKey)
	if err != nil {
		return nil, &Denial{Reason: audit.ReasonPublicKey, Rule: "public_key", Expected: "an MLKEM768-X25519 key", Found: err.Error()}
	}
	given, err := a.keys(request)
	if err != nil {
		return nil, err
	}
	defer clear(given.keys)
	sealed, err := guest.Seal(wire.GrantInfo(a.reportData), given.keys)
	if err != nil {
		return nil, unavailable("seal", err)
	}
	grant := &wire.Grant{
		Time: a.Now().UnixMilli(), State: given.state, Instance: given.instance, Generation: given.generation,
		Enc: sealed[:wire.EncSize], Ciphertext: sealed[wire.EncSize:],
	}
	grant.Signature = ed25519.Sign(a.Identity, wire.GrantTranscript(a.reportData, grant))
	return grant, nil
}
