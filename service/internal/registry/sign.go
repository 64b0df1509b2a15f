package registry

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/keyring"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// measured computes the launch digests of all variants, in order. What they
// share is measured once.
func (u *Upload) measured(kernel, initrd store.ArtifactRef) ([]measure.Digest, error) {
	// The hashes table has the SHA-256 of the files, which the artifacts are
	// named by. What is left is the command line, and an initrd that is not there.
	hashes, err := measure.HashKernel(noBytes{}, nil, u.cmdline)
	if err != nil {
		return nil, refused("cmdline: %v", err)
	}
	hashes.Kernel = kernel.SHA256
	if initrd != (store.ArtifactRef{}) {
		hashes.Initrd = initrd.SHA256
	}
	launch, err := measure.New(measure.Config{
		Firmware: u.firmware, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures,
	})
	if err != nil {
		return nil, refused("measure: %v", err)
	}
	digests := make([]measure.Digest, len(u.plan.variants))
	for i, v := range u.plan.variants {
		if digests[i], err = launch.Digest(v); err != nil {
			return nil, refused("measure: %v", err)
		}
	}
	return digests, nil
}

// signed makes and signs the ID block of each variant.
func (u *Upload) signed(release wire.UUID, keys *keyring.ImageKeys, digests []measure.Digest) ([]store.Variant, error) {
	signed := make([]store.Variant, len(digests))
	for i, v := range u.plan.variants {
		block := idblock.IDBlock{
			LaunchDigest: digests[i], FamilyID: u.plan.ImageID, ImageID: release,
			Version: idblock.Version, GuestSVN: u.plan.GuestSVN, Policy: u.plan.guestPolicy,
		}
		auth, err := sign(block, keys)
		if err != nil {
			return nil, fmt.Errorf("ID block of %s: %w", v, err)
		}
		signed[i] = store.Variant{
			VCPUs: v.Count, VCPUType: v.Type.Name, Signature: v.Type.Signature,
			Measurement: digests[i], IDBlock: block.Bytes(), IDAuth: auth,
		}
	}
	return signed, nil
}

// sign returns ID authentication information that was verified as the AMD-SP
// will: a wrong signature would show at the launch, on somebody else's machine.
func sign(block idblock.IDBlock, keys *keyring.ImageKeys) ([]byte, error) {
	auth, err := idblock.Sign(block, keys.ID, keys.Author)
	if err != nil {
		return nil, err
	}
	if err := auth.Verify(block); err != nil {
		return nil, err
	}
	return auth.Bytes()
}

// checkSigned wants a stored ID block to be that of its variant, signed by the image's
// keys: the database does not authenticate it, and the bundle's signature would vouch
// for it. The error wraps store.ErrTampered.
func checkSigned(image *store.Image, release *store.Release, v *store.Variant) error {
	block, err := idblock.Parse(v.IDBlock)
	if err != nil {
		return tampered(v, err)
	}
	auth, err := idblock.ParseAuthentication(v.IDAuth)
	if err != nil {
		return tampered(v, err)
	}
	want := idblock.IDBlock{
		LaunchDigest: v.Measurement, FamilyID: image.ID, ImageID: release.ID,
		Version: idblock.Version, GuestSVN: release.GuestSVN, Policy: idblock.GuestPolicy(release.GuestPolicy),
	}
	if block != want || auth.AuthorKey == nil {
		return tampered(v, errors.New("it is of another launch"))
	}
	id, idErr := idblock.KeyDigest(auth.IDKey)
	author, authorErr := idblock.KeyDigest(auth.AuthorKey)
	if err := errors.Join(idErr, authorErr); err != nil {
		return tampered(v, err)
	}
	if id != image.IDKeyDigest || author != image.AuthorKeyDigest {
		return tampered(v, errors.New("it is signed by other keys"))
	}
	if err := auth.Verify(block); err != nil {
		return tampered(v, err)
	}
	return nil
}

func tampered(v *store.Variant, err error) error {
	return fmt.Errorf("ID block of %s: %w: %w", VariantName(*v), err, store.ErrTampered)
}
