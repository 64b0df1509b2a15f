package attest

import (
	"slices"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
)

// Complete writes into a policy what counts where it says nothing of products,
// keys and TCB floors, so that it shows whole what is in force, and goes on
// meaning the same where a later version of the program has other floors.
func (p *Policy) Complete() {
	p.Products, p.SigningKeys, p.TCBFloors = p.products(), p.signingKeys(), p.floors()
}

// CompleteBeside is Complete for a policy that is asked beside another one, which it
// can only tighten: where it says nothing of keys and TCB floors, it adds nothing to
// what the other asks, and writes that down.
func (p *Policy) CompleteBeside() {
	if p.SigningKeys == nil {
		p.SigningKeys = []string{snp.SignedByVCEK.String(), snp.SignedByVLEK.String()}
	}
	if p.TCBFloors == (TCBFloors{}) {
		p.TCBFloors.None = true
	}
}

func (p *Policy) products() []snp.Product {
	if p.Products == nil {
		return snp.Products()
	}
	return p.Products
}

// signingKeys are VCEKs alone by default: a VLEK is a key that AMD leases to a
// provider, which then vouches for every chip that it loads the key into.
func (p *Policy) signingKeys() []string {
	if p.SigningKeys == nil {
		return []string{snp.SignedByVCEK.String()}
	}
	return p.SigningKeys
}

func (p *Policy) floors() TCBFloors {
	if p.TCBFloors == (TCBFloors{}) {
		return ShippedFloors().For(p.Products)
	}
	return p.TCBFloors
}

// milanWarning is what a policy with Milan lets in.
const milanWarning = "Milan may unlock: software alone reads the root VCEK seed out of a chip of this line (arXiv 2605.12990), " +
	"and a host that owns one such chip then forges any report, at any TCB; name the other lines in products to keep it out"

// Warnings returns what an owner should know of a policy that is in force.
func (p *Policy) Warnings() []string {
	var warnings []string
	if slices.Contains(p.products(), snp.Milan) {
		warnings = append(warnings, milanWarning)
	}
	if p.TCBFloors.None {
		warnings = append(warnings, "no TCB floors: a chip with any firmware, however old and broken, may unlock")
	}
	return warnings
}
