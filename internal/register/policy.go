package register

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/input"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

// reportPolicy returns the report policy, nil for the defaults.
func (c *Config) reportPolicy() ([]byte, error) {
	if c.Policy != "" {
		if len(c.TCBFloors) > 0 {
			return nil, option.Errorf("policy", "excludes tcb_floors: put the floors into the file")
		}
		policy, err := ReadPolicy(c.Policy)
		return policy, option.Wrap("policy", err)
	}
	if len(c.TCBFloors) == 0 {
		return nil, nil
	}
	policy := attest.Policy{Version: attest.PolicyVersion}
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

// addFloor reads PRODUCT:COMPONENT=N,... for all three TCBs of a report.
func addFloor(floors *attest.TCBFloors, text string) error {
	product, components, _ := strings.Cut(text, ":")
	line, err := snp.ParseProduct(product)
	if err != nil {
		return err
	}
	target := map[snp.Product]**attest.ProductFloors{snp.Milan: &floors.Milan, snp.Genoa: &floors.Genoa, snp.Turin: &floors.Turin}[line]
	if *target != nil {
		return fmt.Errorf("%s has a floor already", product)
	}
	tcb, err := kds.ParseTCB(line, components)
	if err != nil {
		return err
	}
	*target = &attest.ProductFloors{Reported: &tcb, Committed: &tcb, Launch: &tcb}
	return nil
}
