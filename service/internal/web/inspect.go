package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/reportview"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/unlock"
)

// inspectPage is what the template needs.
type inspectPage struct {
	Result *inspection // nil: nothing was inspected
}

// inspection is what is found out about a report.
type inspection struct {
	Source   string // name of the file, or the record
	Fields   []reportview.Field
	Refusal  *attest.Refusal // why it is not genuine
	Advice   advice
	Open     string // why it was not decided
	Verified *attest.Verified
	Chain    []shownCertificate
	Revoked  string // what the revocation list says, or why it was not asked
	Unasked  bool
	Of       *imageRef // whose release the launch is
	Release  wire.UUID
	Rules    attest.Results
	launched attest.Results // rules that hold for a registered launch beside its policy
}

// shownCertificate is a certificate of a proven chain.
type shownCertificate struct {
	Name                string
	NotBefore, NotAfter time.Time
}

func (w *Web) showInspector(rw http.ResponseWriter, r *request) error {
	return w.renderInspector(rw, r, http.StatusOK, page{}, nil)
}

func (w *Web) renderInspector(rw http.ResponseWriter, r *request, status int, p page, result *inspection) error {
	p.Name, p.Title, p.Nav, p.Body = "inspect.html", "Inspect a report", "inspect", inspectPage{result}
	return w.render(rw, r, status, p)
}

// maxReport bounds a report with its certificates, in bytes; one more than that is
// read, so that a longer file is refused as what it is.
const maxReport = snp.MaxWrappedSize

// inspect decodes and verifies a file, or the report of an audit record.
func (w *Web) inspect(rw http.ResponseWriter, r *request) error {
	form, err := w.openForm(rw, r, maxReport+maxForm)
	if err != nil {
		return err
	}
	data, source, err := w.reportOf(r, form)
	if err == nil {
		var result *inspection
		if result, err = w.inspectReport(r.Context(), data); err == nil {
			result.Source = source
			return w.renderInspector(rw, r, http.StatusOK, page{}, result)
		}
	}
	if p, ok := asProblem(err); ok {
		form.drain()
		return w.renderInspector(rw, r, p.Status, page{Problem: p}, nil)
	}
	return err
}

// reportOf returns the bytes to inspect and where they are from.
func (w *Web) reportOf(r *request, f *form) ([]byte, string, error) {
	if number := f.fields.Get("record"); number != "" {
		entry, err := w.record(r, number)
		return entry.Report, "record " + number, err
	}
	file, err := f.file("report")
	if err != nil {
		return nil, "", err
	}
	name := f.next.FileName()
	data, err := io.ReadAll(io.LimitReader(file, maxReport+1))
	if err != nil {
		return nil, "", bodyProblem(err)
	}
	return data, name, nil
}

func (w *Web) inspectReport(ctx context.Context, data []byte) (*inspection, error) {
	var report *snp.Report
	var table *snp.CertTable
	data, _, err := snp.Unwrap(data)
	if err == nil {
		report, table, err = snp.SplitExtended(data)
	}
	if err != nil {
		return nil, &problem{Status: http.StatusUnprocessableEntity, Title: "That is not an attestation report.", Detail: err.Error()}
	}
	result := &inspection{Fields: reportview.Fields(report)}
	policies, err := w.findPolicies(ctx, report, result)
	if err != nil {
		return nil, err
	}
	verified, err := w.verify(ctx, report, table)
	if err != nil {
		result.leave(err)
		return result, nil
	}
	result.Verified, result.Unasked = verified, w.cfg.CRL == "off"
	result.Rules = result.launched
	for _, policy := range policies {
		result.Rules = slices.Concat(result.Rules, attest.Evaluate(verified, policy))
	}
	slices.SortStableFunc(result.Rules, func(a, b attest.Result) int { return cmp.Compare(a.Verdict, b.Verdict) }) // those that fail first
	for _, c := range verified.Chain {
		result.Chain = append(result.Chain, shownCertificate{c.Subject.CommonName, c.NotBefore, c.NotAfter})
	}
	if err := w.cfg.Endorser.CheckRevocation(ctx, verified); err != nil {
		result.Revoked = err.Error()
	}
	return result, nil
}

// leave says why a report was not proven genuine: it is not, or nobody knows.
func (i *inspection) leave(err error) {
	if errors.As(err, &i.Refusal) {
		i.Advice = adviceOn(audit.Reason(i.Refusal.Reason))
		return
	}
	i.Open = err.Error()
}

// verify proves that a report is genuine, with the certificates behind it or else
// with those of AMD's KDS. A *attest.Refusal says why it is not.
func (w *Web) verify(ctx context.Context, report *snp.Report, table *snp.CertTable) (*attest.Verified, error) {
	given, refusal := attest.TableChain(report, table)
	if refusal == nil && given.VEK != nil {
		given.ARK = nil // the trusted one counts
		verified, err := w.cfg.Verifier.Verify(report, given, w.cfg.Now())
		if refusal = err; err == nil {
			return verified, nil
		}
	}
	chains, err := w.cfg.Endorser.Chains(ctx, kds.Operator(), report, given.VEK)
	if err != nil {
		return nil, errors.Join(refusal, err)
	}
	for _, chain := range chains {
		verified, err := w.cfg.Verifier.Verify(report, chain, w.cfg.Now())
		if refusal = err; err == nil {
			return verified, nil
		}
	}
	return nil, refusal
}

// findPolicies returns what the report of this launch would be held against: the
// policies and the registered values of its release, or what every report must meet.
func (w *Web) findPolicies(ctx context.Context, report *snp.Report, result *inspection) ([]*attest.Policy, error) {
	launch, err := w.cfg.Store.FindLaunch(ctx, report.IDKeyDigest, report.AuthorKeyDigest, wire.UUID(report.ImageID))
	if errors.Is(err, store.ErrNotFound) {
		return []*attest.Policy{{Version: attest.PolicyVersion}}, nil
	}
	if err != nil {
		return nil, err
	}
	policies, err := unlock.Policies(launch.Image.Policy, launch.Release.Policy)
	if err != nil {
		return nil, fmt.Errorf("policy of release %s: %w", launch.Release.ID, err)
	}
	family := attest.Bytes16(launch.Image.ID)
	policies[0].FamilyID = &family
	for _, v := range launch.Release.Variants {
		policies[0].Measurements = append(policies[0].Measurements, v.Measurement)
	}
	result.Of, result.Release = &imageRef{launch.Image.ID, launch.Image.Name}, launch.Release.ID
	result.launched = attest.Results{
		same("registered guest_policy", fmt.Sprintf("%#x", launch.Release.GuestPolicy), fmt.Sprintf("%#x", report.Policy)),
		same("registered guest_svn", fmt.Sprint(launch.Release.GuestSVN), fmt.Sprint(report.GuestSVN)),
		same("image enabled", "true", fmt.Sprint(launch.Image.Enabled)),
		same("release state", string(wire.StateApproved), string(launch.Release.State)),
	}
	return policies, nil
}

// same is a rule that wants a field to be as it was registered.
func same(name, expected, found string) attest.Result {
	r := attest.Result{Name: name, Verdict: attest.Fail, Expected: expected, Found: found}
	if expected == found {
		r.Verdict = attest.Pass
	}
	return r
}
