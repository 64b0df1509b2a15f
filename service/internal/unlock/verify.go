package unlock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// verify proves that the report is genuine, with the certificates that came
// with it or else with those of AMD's KDS. A host's table may be missing, stale
// or wrong; it can make neither a genuine report fail nor a forged one pass.
func (a *attempt) verify(ctx context.Context) error {
	given, refusal := a.givenChain()
	if refusal == nil {
		if refusal = a.verifyWith(given); refusal == nil {
			return nil
		}
	}
	chains, err := a.Endorser.Chains(ctx, kds.Asker{Block: a.caller.Block}, a.report, given.VEK)
	if errors.As(err, new(*attest.Refusal)) {
		return denialOf(refusal)
	}
	if err != nil {
		return unavailable("fetch certificates", err)
	}
	for _, chain := range chains {
		if refusal = a.verifyWith(chain); refusal == nil {
			return nil
		}
	}
	return denialOf(refusal)
}

// givenChain returns the chain of the host's certificate table. Its ARK does not
// count: the root is the service's own.
func (a *attempt) givenChain() (attest.Chain, error) {
	table, err := snp.ParseCertTable(a.evidence.Certificates)
	if err != nil {
		return attest.Chain{}, err
	}
	chain, err := attest.TableChain(a.report, table)
	return attest.Chain{VEK: chain.VEK, ASK: chain.ASK}, err
}

func (a *attempt) verifyWith(chain attest.Chain) error {
	verified, err := a.Verifier.Verify(a.report, chain, a.record.Audit.Time)
	if err == nil {
		a.verified = verified
	}
	return err
}

// denialOf turns the refusal of a report into a denial.
func denialOf(err error) error {
	var refusal *attest.Refusal
	if errors.As(err, &refusal) {
		return &Denial{Reason: audit.Reason(refusal.Reason), Rule: cmp.Or(refusal.Subject, string(refusal.Reason)), Expected: cmp.Or(refusal.Expected, "a genuine report"), Found: refusal.Error()}
	}
	return &Denial{Reason: audit.Reason(attest.ReasonNoCertificate), Rule: "certificates", Expected: "a well-formed certificate table", Found: err.Error()}
}

func (a *attempt) checkRevocation(ctx context.Context) error {
	err := a.Endorser.CheckRevocation(ctx, a.verified)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kds.ErrRevoked):
		return &Denial{Reason: audit.ReasonRevoked, Rule: "certificates", Expected: "not on AMD's revocation list", Found: err.Error()}
	case errors.Is(err, kds.ErrCRLSignature), errors.Is(err, kds.ErrCRLRollback):
		return &Denial{Reason: audit.ReasonCRL, Rule: "revocation list", Expected: "AMD's current list", Found: err.Error()}
	}
	return unavailable("check revocation", err)
}

// measured reports whether a measurement is one of a release's.
func measured(variants []store.Variant, found [48]byte) bool {
	return slices.ContainsFunc(variants, func(v store.Variant) bool { return v.Measurement == found })
}

// measurements names those of a release.
func measurements(variants []store.Variant) string {
	words := make([]string, len(variants))
	for i, v := range variants {
		words[i] = fmt.Sprintf("%x", v.Measurement)
	}
	return strings.Join(words, " or ")
}
