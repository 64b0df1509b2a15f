package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/artifact"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/audit"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// Finish measures, signs and stores what was uploaded. The error is a *RefusedError or wraps
// store.ErrNameTaken, store.ErrExists (also a *SameReleaseError or a *store.DecidedError), store.ErrDeleted, store.ErrNotFound (the image was deleted
// meanwhile) or store.ErrArtifactGone.
func (u *Upload) Finish(ctx context.Context) (store.Image, store.Release, error) {
	for _, part := range []string{PartFirmware, PartKernel, PartCmdline, PartUnsealingKey} {
		if !u.parts[part] && (part != PartUnsealingKey || u.image == nil) {
			return store.Image{}, store.Release{}, refused("part %s is missing", part)
		}
	}
	release, err := u.commit()
	if err == nil {
		var image store.Image
		var stored store.Release
		if image, stored, err = u.store(ctx, release); err == nil {
			return image, stored, nil
		}
	}
	return store.Image{}, store.Release{}, errors.Join(err, u.drop(ctx, release))
}

// commit keeps the artifacts and returns the release, without its variants. On
// an error it names the artifacts that were kept.
func (u *Upload) commit() (store.Release, error) {
	release := store.Release{
		ID: wire.NewUUID(), ProposedBy: u.permit.Party(),
		Cmdline: u.cmdline, GuestPolicy: uint64(u.plan.guestPolicy), GuestSVN: u.plan.GuestSVN,
	}
	if u.image != nil {
		release.Policy = u.plan.policy
	}
	if u.plan.Provenance != nil {
		var err error
		if release.Provenance, err = json.Marshal(u.plan.Provenance); err != nil {
			return release, fmt.Errorf("encode provenance: %w", err)
		}
	}
	for part, ref := range map[string]*store.ArtifactRef{
		PartFirmware: &release.Firmware, PartKernel: &release.Kernel, PartInitrd: &release.Initrd,
	} {
		w, ok := u.files[part]
		if !ok {
			continue // there need not be an initrd
		}
		var err error
		if *ref, err = w.Commit(); err != nil {
			return release, fmt.Errorf("store %s: %w", part, err)
		}
		delete(u.files, part)
	}
	return release, nil
}

// store measures and signs the release and writes it down with its audit record.
func (u *Upload) store(ctx context.Context, release store.Release) (store.Image, store.Release, error) {
	digests, err := u.measured(release.Kernel, release.Initrd)
	if err != nil {
		return store.Image{}, store.Release{}, err
	}
	image, keys, err := u.keys()
	if err != nil {
		return store.Image{}, store.Release{}, err
	}
	if release.Variants, err = u.signed(release.ID, keys, digests); err != nil {
		return store.Image{}, store.Release{}, err
	}
	if err := u.checkNew(ctx, &release); err != nil {
		return store.Image{}, store.Release{}, err
	}
	details := map[string]string{"name": image.Name, "guest_policy": u.plan.guestPolicy.String(), "variants": fmt.Sprint(len(digests))}
	if u.plan.Instances != nil {
		details["instances"] = settingsText(u.plan.instances)
	}
	noteFindings(details, u.plan.Findings)
	if release.Findings, err = keptFindings(u.plan.Findings, u.permit.Record().Actor); err != nil {
		return store.Image{}, store.Release{}, err
	}
	var storedImage store.Image
	var storedRelease store.Release
	err = u.permit.Audited(ctx, func(ctx context.Context, record audit.Record) (_ audit.Record, err error) {
		record.ImageID, record.ReleaseID, record.Details = image.ID, release.ID, details
		if u.image != nil {
			storedImage = image
			storedRelease, err = u.registry.Store.AddRelease(ctx, image.ID, release, artifact.Present(u.registry.Artifacts))
			return record, err
		}
		// Keys sealed under a KEK that was rotated meanwhile would never open.
		if err := u.registry.KEK.Check(ctx, u.registry.Store); err != nil {
			return record, err
		}
		storedImage, storedRelease, err = u.registry.Store.CreateImage(ctx, image, release, artifact.Present(u.registry.Artifacts))
		return record, err
	})
	return storedImage, storedRelease, err
}

// keys returns the image, which is made where there is none yet, and its keys.
func (u *Upload) keys() (store.Image, *keyring.ImageKeys, error) {
	kek := u.registry.KEK
	if u.image != nil {
		keys, err := kek.OpenImageKeys(u.image.ID, u.image.IDKeySealed, u.image.AuthorKeySealed)
		return *u.image, keys, err
	}
	keys, sealed, err := kek.NewImageKeys(u.plan.ImageID)
	if err != nil {
		return store.Image{}, nil, err
	}
	return store.Image{
		ID: u.plan.ImageID, Name: u.plan.Name, Labels: u.plan.Labels,
		Enabled: !u.plan.Disabled, Simulated: u.registry.Simulated,
		IDKeyDigest: sealed.IDDigest, AuthorKeyDigest: sealed.AuthorDigest,
		IDKeySealed: sealed.ID, AuthorKeySealed: sealed.Author,
		UnsealingKeySealed: u.unsealingKey, UnsealingKeyHash: u.unsealingKeyHash, Policy: u.plan.policy,
		Instances: u.plan.instances,
	}, keys, nil
}

// cleanupTime bounds how long it may take to remove what failed, also after the
// client has gone.
const cleanupTime = 30 * time.Second

// drop removes the artifacts of a release that was not stored, unless another
// one uses them.
func (u *Upload) drop(ctx context.Context, release store.Release) error {
	return u.registry.dropAll(ctx, release.Firmware.SHA256, release.Kernel.SHA256, release.Initrd.SHA256)
}

// dropAll removes artifacts that no release refers to.
func (r *Registry) dropAll(ctx context.Context, hashes ...[32]byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	var errs []error
	for _, hash := range hashes {
		if hash == [32]byte{} {
			continue
		}
		_, err := r.Store.DropArtifact(ctx, hash, func(ctx context.Context) error { return r.Artifacts.Delete(ctx, hash) })
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
