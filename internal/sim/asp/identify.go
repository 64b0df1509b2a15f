package asp

import (
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// identify checks the ID block as SNP_LAUNCH_FINISH does (56860 rev. 1.58,
// section 8.18) and takes over into the report what it says.
func (in Input) identify(report *snp.Report, digest measure.Digest) error {
	if err := in.Policy.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPolicyFailure, err)
	}
	if len(in.IDBlock) == 0 && len(in.IDAuth) == 0 {
		return nil
	}
	block, err := idblock.Parse(in.IDBlock)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidParam, err)
	}
	auth, err := idblock.ParseAuthentication(in.IDAuth)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidParam, err)
	}
	if err := in.checkBlock(block, auth, digest); err != nil && !in.Force {
		return err
	}
	report.FamilyID, report.ImageID, report.GuestSVN = block.FamilyID, block.ImageID, block.GuestSVN
	if report.IDKeyDigest, err = idblock.KeyDigest(auth.IDKey); err != nil {
		return err
	}
	if auth.AuthorKey == nil {
		return nil
	}
	report.AuthorKeyEn = true
	report.AuthorKeyDigest, err = idblock.KeyDigest(auth.AuthorKey)
	return err
}

func (in Input) checkBlock(block idblock.IDBlock, auth *idblock.Authentication, digest measure.Digest) error {
	switch err := auth.Verify(block); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	case block.Policy != in.Policy:
		return fmt.Errorf("%w: the ID block says guest policy %s, the launch %s", ErrPolicyFailure, block.Policy, in.Policy)
	case block.LaunchDigest != digest:
		return fmt.Errorf("%w: the ID block says launch digest %s, what would boot has %s",
			ErrBadMeasurement, measure.Digest(block.LaunchDigest), digest)
	}
	return nil
}
