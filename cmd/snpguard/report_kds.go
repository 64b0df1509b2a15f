package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

// kdsSource fetches certificates and asks for revoked ones.
type kdsSource struct{ client *kds.Client }

// newKDSSource returns a source that trusts what the roots vouch for. What was
// fetched before is taken from the user's cache directory.
func newKDSSource(url string, roots *attest.Roots, change ...func(*kds.Config)) (kdsSource, error) {
	cache, err := openKDSCache("")
	if err != nil {
		return kdsSource{}, err
	}
	cfg := kds.Config{BaseURL: url, Cache: cache, Roots: roots.ARKs, Known: roots.ASKs}
	for _, c := range change {
		c(&cfg)
	}
	client, err := kds.New(cfg)
	if err != nil {
		return kdsSource{}, usageErrorf("--kds: %w", err)
	}
	return kdsSource{client}, nil
}

// chains implements certSource.
func (s kdsSource) chains(ctx context.Context, r *snp.Report, vek []byte) ([]attest.Chain, error) {
	if r.SigningKey == snp.SignedByVLEK {
		return s.chainOfVLEK(ctx, vek)
	}
	products, err := possibleProducts(r)
	if err != nil {
		return nil, &attest.Refusal{Reason: attest.ReasonProduct, Subject: "CPUID", Err: err}
	}
	var unknown error
	for _, p := range products {
		chain, err := s.chainOfVCEK(ctx, r, p)
		if errors.Is(err, kds.ErrUnknownChip) {
			unknown = errors.Join(unknown, err)
			continue
		}
		return []attest.Chain{chain}, err
	}
	return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate, Err: unknown}
}

// possibleProducts returns the product lines that a report may be of. Before
// version 3 it does not say, and Turin makes none.
func possibleProducts(r *snp.Report) ([]snp.Product, error) {
	if r.CPUID == nil {
		return []snp.Product{snp.Milan, snp.Genoa}, nil
	}
	p, err := r.CPUID.Product()
	return []snp.Product{p}, err
}

// chainOfVCEK fetches the VCEK of a report and what is above it.
func (s kdsSource) chainOfVCEK(ctx context.Context, r *snp.Report, p snp.Product) (attest.Chain, error) {
	if slices.ContainsFunc(r.ChipID[p.HardwareIDSize():], func(b byte) bool { return b != 0 }) {
		return attest.Chain{}, &attest.Refusal{
			Reason: attest.ReasonChipID, Subject: "CHIP_ID", Found: "more bytes than a chip of " + string(p) + " has",
		}
	}
	tcb, err := snp.ParseTCB(p, r.ReportedTCB)
	if err != nil {
		return attest.Chain{}, &attest.Refusal{Reason: attest.ReasonTCBReserved, Subject: "REPORTED_TCB", Err: err}
	}
	above, err := s.client.Chain(ctx, p, snp.SignedByVCEK)
	if err != nil {
		return attest.Chain{}, err
	}
	vcek, err := s.client.VCEK(ctx, p, r.ChipID, tcb)
	if err != nil {
		return attest.Chain{}, err
	}
	return attest.Chain{VEK: vcek.Raw, ASK: above.ASK.Raw, ARK: above.ARK.Raw}, nil
}

// chainOfVLEK fetches what is above a VLEK. AMD gives VLEKs to providers only, so
// it has to come with the report.
func (s kdsSource) chainOfVLEK(ctx context.Context, vlek []byte) ([]attest.Chain, error) {
	if vlek == nil {
		return nil, &attest.Refusal{Reason: attest.ReasonNoCertificate, Expected: "a VLEK, which comes with the report and not from KDS"}
	}
	cert, err := attest.ParseCertificate(vlek)
	if err != nil {
		return nil, &attest.Refusal{Reason: attest.ReasonCertificateFormat, Subject: "VLEK", Err: err}
	}
	e, err := snp.ParseExtensions(cert)
	if err != nil {
		return nil, &attest.Refusal{Reason: attest.ReasonCertificateFormat, Subject: "VLEK", Err: err}
	}
	above, err := s.client.Chain(ctx, e.Product, snp.SignedByVLEK)
	if err != nil {
		return nil, err
	}
	return []attest.Chain{{VEK: vlek, ASK: above.ASK.Raw, ARK: above.ARK.Raw}}, nil
}

// checkGiven asks whether AMD revoked certificates that came with a report: the
// host chose them. They are enough without KDS, so one that cannot be reached is
// no refusal, but the operator is told.
func (o *verifyOptions) checkGiven(cmd *cobra.Command, roots *attest.Roots, v *attest.Verified) error {
	source, err := newKDSSource(o.kds, roots, func(cfg *kds.Config) { cfg.Pace.Attempts = 1 })
	if err != nil {
		return err
	}
	err = source.accept(cmd.Context(), v)
	if errors.Is(err, kds.ErrUnavailable) {
		fmt.Fprintf(cmd.ErrOrStderr(), "snpguard: whether a certificate is revoked was NOT CHECKED: %v\n", err)
		return nil
	}
	return err
}

// accept implements certSource: what AMD revoked is not genuine any more.
func (s kdsSource) accept(ctx context.Context, v *attest.Verified) error {
	err := s.client.CheckRevocation(ctx, v.Product, v.SigningKey, v.Chain...)
	if errors.Is(err, kds.ErrRevoked) {
		return &attest.Refusal{Reason: attest.ReasonRevoked, Err: err}
	}
	return err
}
