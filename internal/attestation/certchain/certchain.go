// Package certchain finds the certificates of a report at AMD's Key Distribution
// Service and asks which of them are revoked. It stands between internal/attestation/attest,
// which touches no network, and internal/attestation/kds, which decides nothing.
package certchain

import (
	"context"
	"errors"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Source finds certificates with a client of KDS.
type Source struct{ Client *kds.Client }

// Chains returns the chains to try for a report that somebody shows. vek is the
// certificate that came with it, or nil. A *attest.Refusal says that there is no
// chain; other errors are those of package kds.
func (s Source) Chains(ctx context.Context, asker kds.Asker, r *snp.Report, vek []byte) ([]attest.Chain, error) {
	if r.SigningKey == snp.SignedByVLEK {
		return s.chainOfVLEK(ctx, vek)
	}
	products, err := possibleProducts(r)
	if err != nil {
		return nil, &attest.Refusal{Reason: attest.ReasonProduct, Subject: "CPUID", Err: err}
	}
	var unknown error
	for _, p := range products {
		chain, err := s.chainOfVCEK(ctx, asker, r, p)
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
func (s Source) chainOfVCEK(ctx context.Context, asker kds.Asker, r *snp.Report, p snp.Product) (attest.Chain, error) {
	if slices.ContainsFunc(r.ChipID[p.HardwareIDSize():], func(b byte) bool { return b != 0 }) {
		return attest.Chain{}, &attest.Refusal{
			Reason: attest.ReasonChipID, Subject: "CHIP_ID", Found: "more bytes than a chip of " + string(p) + " has",
		}
	}
	tcb, err := snp.ParseTCB(p, r.ReportedTCB)
	if err != nil {
		return attest.Chain{}, &attest.Refusal{Reason: attest.ReasonTCBReserved, Subject: "REPORTED_TCB", Err: err}
	}
	above, err := s.Client.Chain(ctx, p, snp.SignedByVCEK)
	if err != nil {
		return attest.Chain{}, err
	}
	key, err := kds.VCEKKey(p, r.ChipID, tcb)
	if err != nil {
		return attest.Chain{}, err
	}
	vcek, err := s.Client.VCEK(ctx, asker, key)
	if err != nil {
		return attest.Chain{}, err
	}
	return attest.Chain{VEK: vcek.Raw, ASK: above.ASK.Raw, ARK: above.ARK.Raw}, nil
}

// chainOfVLEK fetches what is above a VLEK. AMD gives VLEKs to providers only, so
// it has to come with the report.
func (s Source) chainOfVLEK(ctx context.Context, vlek []byte) ([]attest.Chain, error) {
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
	above, err := s.Client.Chain(ctx, e.Product, snp.SignedByVLEK)
	if err != nil {
		return nil, err
	}
	return []attest.Chain{{VEK: vlek, ASK: above.ASK.Raw, ARK: above.ARK.Raw}}, nil
}

// CheckRevocation fails when AMD revoked a certificate of a proven chain. The
// errors are those of kds.Client.CheckRevocation.
func (s Source) CheckRevocation(ctx context.Context, v *attest.Verified) error {
	return s.Client.CheckRevocation(ctx, v.Product, v.SigningKey, v.Chain...)
}
