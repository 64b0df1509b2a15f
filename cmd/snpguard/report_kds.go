package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/certchain"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// kdsSource fetches certificates and asks for revoked ones.
type kdsSource struct{ certchain.Source }

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
	return kdsSource{certchain.Source{Client: client}}, nil
}

// chains implements certSource.
func (s kdsSource) chains(ctx context.Context, r *snp.Report, vek []byte) ([]attest.Chain, error) {
	return s.Chains(ctx, kds.Operator(), r, vek)
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
	err := s.CheckRevocation(ctx, v)
	if errors.Is(err, kds.ErrRevoked) {
		return &attest.Refusal{Reason: attest.ReasonRevoked, Err: err}
	}
	return err
}
