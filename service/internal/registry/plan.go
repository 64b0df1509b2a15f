package registry

import (
	"fmt"
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
	"github.com/snpguard-go/packer-plugin-snpguard/service/internal/store"
)

// plan is a registration that was checked as far as that goes without the files.
type plan struct {
	wire.Registration
	guestPolicy idblock.GuestPolicy
	policy      []byte                // report policy; of a further release nil for none
	instances   wire.InstanceSettings // of a new image; the zero value is none
	variants    []measure.VCPUs       // in order, the default first
}

// newPlan checks the registration of a new image, or of a further release of one.
// The error is a *RefusedError.
func newPlan(r wire.Registration, image *store.Image) (*plan, error) {
	p := &plan{Registration: r, guestPolicy: idblock.DefaultPolicy}
	if r.ImageID.IsZero() {
		return nil, refused("image_id is missing")
	}
	var err error
	if r.GuestPolicy != "" {
		if p.guestPolicy, err = idblock.ParseGuestPolicy(r.GuestPolicy); err != nil {
			return nil, refused("guest_policy: %v", err)
		}
	}
	if err := p.setPolicy(image); err != nil {
		return nil, err
	}
	if err := checkFindings(r.Findings); err != nil {
		return nil, err
	}
	if err := r.Provenance.Check(); err != nil {
		return nil, refused("%v", err)
	}
	if r.Instances != nil {
		if image != nil {
			return nil, refused("instances: they belong to the image; leave them out")
		}
		if p.instances, err = instanceSettings(*r.Instances); err != nil {
			return nil, err
		}
	}
	p.variants, err = variants(r.VCPUs, r.VCPUTypes)
	return p, err
}

// setPolicy reads the report policy and holds the guest policy against all that will
// be in force.
func (p *plan) setPolicy(image *store.Image) (err error) {
	var inForce [2]*attest.Policy
	if image == nil {
		inForce[0], p.policy, err = parsePolicy(p.Policy)
	} else {
		if inForce[0], err = attest.ParsePolicy(image.Policy); err != nil {
			return fmt.Errorf("policy of image %s: %w", image.ID, err)
		}
		inForce[1], p.policy, err = parseTightening(p.Policy)
	}
	if err != nil {
		return err
	}
	for _, policy := range inForce {
		if policy == nil {
			continue
		}
		if err := checkGuestPolicy(p.guestPolicy, policy); err != nil {
			return err
		}
	}
	return nil
}

// variants multiplies counts of vCPUs with their types.
func variants(counts []int, names []string) ([]measure.VCPUs, error) {
	switch {
	case len(counts) == 0:
		return nil, refused("vcpus is missing: give the numbers of vCPUs that guests may have")
	case len(names) == 0:
		return nil, refused("vcpu_types is missing: give the types of vCPUs that guests may have")
	case len(counts) > store.MaxVariants || len(names) > store.MaxVariants || len(counts)*len(names) > store.MaxVariants:
		return nil, refused("%d numbers of vCPUs for %d types exceed the limit of %d variants", len(counts), len(names), store.MaxVariants)
	}
	for i, n := range counts {
		if n < 1 || n > measure.MaxVCPUs || slices.Contains(counts[:i], n) {
			return nil, refused("vcpus: %d: want numbers from 1 to %d, each once", n, measure.MaxVCPUs)
		}
	}
	var all []measure.VCPUs
	for i, name := range names {
		t, err := measure.ParseVCPUType(name)
		if err != nil {
			return nil, refused("vcpu_types: %v", err)
		}
		if slices.Contains(names[:i], name) {
			return nil, refused("vcpu_types: %s is given twice", name)
		}
		for _, n := range counts {
			all = append(all, measure.VCPUs{Count: n, Type: t})
		}
	}
	return all, nil
}
