package register

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// reportPolicy returns the report policy, nil for the defaults.
func (c *Config) reportPolicy() ([]byte, error) {
	if c.Policy != "" {
		if len(c.TCBFloors) > 0 || len(c.Products) > 0 {
			return nil, option.Excludesf("policy", "%s and %s: put both into the file", option.Name("products"), option.Name("tcb_floors"))
		}
		policy, err := ReadPolicy(c.Policy)
		return policy, option.Wrap("policy", err)
	}
	if len(c.TCBFloors) == 0 && len(c.Products) == 0 {
		return nil, nil
	}
	policy := attest.Policy{Version: attest.PolicyVersion}
	for _, text := range c.Products {
		product, err := snp.ParseProduct(text)
		if err != nil {
			return nil, option.Wrap("products", err)
		}
		policy.Products = append(policy.Products, product)
	}
	for _, text := range c.TCBFloors {
		if err := addFloor(&policy.TCBFloors, text); err != nil {
			return nil, option.Errorf("tcb_floors", "%q: %w", text, err)
		}
	}
	if err := policy.Validate(); err != nil {
		return nil, option.Wrap("tcb_floors", err)
	}
	return json.Marshal(policy)
}

// Warnings returns what the owner should know of the policy that the service has
// put in force.
func Warnings(policy []byte) ([]string, error) {
	p, err := attest.ParsePolicy(policy)
	if err != nil {
		return nil, fmt.Errorf("policy of the service: %w", err)
	}
	return p.Warnings(), nil
}

// ReadPolicy reads a report policy and checks it before it is sent.
func ReadPolicy(path string) ([]byte, error) {
	data, err := input.Whole(path, attest.MaxPolicySize)
	if err != nil {
		return nil, err
	}
	if _, err := attest.ParsePolicy(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// addFloor reads PRODUCT:COMPONENT=N,... for all three TCBs of a report, or the
// word "none".
func addFloor(floors *attest.TCBFloors, text string) error {
	if text == "none" {
		floors.None = true
		return nil
	}
	product, components, _ := strings.Cut(text, ":")
	line, err := snp.ParseProduct(product)
	if err != nil {
		return err
	}
	target := floors.Of(line)
	if *target != nil {
		return fmt.Errorf("%s is given twice", product)
	}
	tcb, err := kds.ParseTCB(line, components)
	if err != nil {
		return err
	}
	*target = &attest.ProductFloors{Reported: &tcb, Committed: &tcb, Launch: &tcb}
	return nil
}
