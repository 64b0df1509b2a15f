package main

import (
	"context"
	"errors"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/endorse"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

// kdsSource fetches certificates and asks for revoked ones.
type kdsSource struct{ endorse.Source }

// newKDSSource returns a source that trusts what the roots vouch for. What was
// fetched before is taken from the user's cache directory.
func newKDSSource(url string, roots *attest.Roots) (kdsSource, error) {
	cache, err := openKDSCache("")
	if err != nil {
		return kdsSource{}, err
	}
	client, err := kds.New(kds.Config{BaseURL: url, Cache: cache, Roots: roots.ARKs, Known: roots.ASKs})
	if err != nil {
		return kdsSource{}, usageErrorf("--kds: %w", err)
	}
	return kdsSource{endorse.Source{Client: client}}, nil
}

// chains implements certSource.
func (s kdsSource) chains(ctx context.Context, r *snp.Report, vek []byte) ([]attest.Chain, error) {
	return s.Chains(ctx, r, vek)
}

// accept implements certSource: what AMD revoked is not genuine any more.
func (s kdsSource) accept(ctx context.Context, v *attest.Verified) error {
	err := s.CheckRevocation(ctx, v)
	if errors.Is(err, kds.ErrRevoked) {
		return &attest.Refusal{Reason: attest.ReasonRevoked, Err: err}
	}
	return err
}
