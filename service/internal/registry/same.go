package registry

import (
	"bytes"
	"context"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// checkNew refuses a release that the image has already: a registration that was
// repeated by mistake would ask for another approval of the same. What was rejected or
// retired the store refuses. The error is a *SameReleaseError.
func (u *Upload) checkNew(ctx context.Context, release *store.Release) error {
	if u.image == nil {
		return nil
	}
	listed, err := u.registry.Store.ListReleases(ctx, u.image.ID)
	if err != nil {
		return err
	}
	for _, r := range listed {
		if decided := r.State == wire.StateRejected || r.State == wire.StateRetired; decided || !sameInputs(&r, release) {
			continue
		}
		there, err := u.registry.Store.ReleaseByID(ctx, r.ID) // lists leave the variants out
		if err != nil {
			return err
		}
		if slices.EqualFunc(there.Variants, release.Variants, sameVariant) {
			return &SameReleaseError{r.ID}
		}
	}
	return nil
}

func sameInputs(a, b *store.Release) bool {
	return a.SameInputs(b) && bytes.Equal(a.Policy, b.Policy)
}

func sameVariant(a, b store.Variant) bool {
	return a.VCPUs == b.VCPUs && a.VCPUType == b.VCPUType && a.Measurement == b.Measurement
}
