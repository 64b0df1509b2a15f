package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/strictjson"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/access"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Verify keeps that the actor has recomputed a release of an image, as it is with the
// content named. It decides nothing: those who approve are shown it. The error is a
// *RefusedError or an *access.PartyError, or wraps store.ErrNotFound or
// store.ErrChanged.
func (r *Registry) Verify(ctx context.Context, actor access.Actor, image, id wire.UUID, verification wire.Verification) error {
	v, release, err := r.decide(ctx, actor, access.VerifyRelease, image, id)
	if err != nil {
		return err
	}
	defer v.permit.End()
	content, err := contentHash(verification.ContentHash)
	if err != nil {
		return err
	}
	if verification.Agent != wire.AgentPublished && verification.Agent != wire.AgentUnchecked {
		return refused("agent: want %q or %q", wire.AgentPublished, wire.AgentUnchecked)
	}
	packages, err := packageHashes(verification.Packages)
	if err != nil {
		return err
	}
	v.change.add("content_sha256", verification.ContentHash, func(ctx context.Context) error {
		return r.Store.VerifyRelease(ctx, store.Verification{
			Release: id, Content: content, By: v.permit.Party(), Agent: verification.Agent, Packages: packages,
		})
	})
	v.change.details["agent"] = verification.Agent
	v.change.details["packages"] = strconv.Itoa(len(verification.Packages))
	return v.apply(ctx, release)
}

// packageHashes checks hashes of packages and returns them as they are kept.
func packageHashes(all []string) ([]byte, error) {
	if len(all) > wire.MaxProvenancePackages {
		return nil, refused("packages: %d exceed the limit of %d", len(all), wire.MaxProvenancePackages)
	}
	for _, text := range all {
		if hash, err := hex.DecodeString(text); err != nil || len(hash) != 32 {
			return nil, refused("packages: want SHA-256 hashes of 64 hexadecimal digits")
		}
	}
	return json.Marshal(all)
}

// Verified returns who has recomputed a release as it is.
func (r *Registry) Verified(ctx context.Context, release *store.Release) ([]wire.Verified, error) {
	found, err := r.Store.Verifications(ctx, release)
	if err != nil {
		return nil, err
	}
	shown := []wire.Verified{}
	for _, v := range found {
		one := wire.Verified{By: v.By, At: v.At, Agent: v.Agent}
		if err := strictjson.Decode(v.Packages, &one.Packages); err != nil {
			return nil, fmt.Errorf("verification of release %s: %w: %w", release.ID, store.ErrCorrupt, err)
		}
		shown = append(shown, one)
	}
	return shown, nil
}
