package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attest"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/kds"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/snp"
)

// reportPolicy returns the report policy of the flags, nil for the defaults.
func (o *registerOptions) reportPolicy() ([]byte, error) {
	if o.policy != "" {
		if len(o.tcbFloors) > 0 {
			return nil, usageErrorf("--policy and --tcb-floor exclude each other: put the floors into the file")
		}
		return readReleasePolicy(o.policy)
	}
	if len(o.tcbFloors) == 0 {
		return nil, nil
	}
	policy := attest.Policy{Version: attest.PolicyVersion}
	for _, text := range o.tcbFloors {
		if err := addFloor(&policy.TCBFloors, text); err != nil {
			return nil, usageErrorf("--tcb-floor %q: %w", text, err)
		}
	}
	if err := policy.Validate(); err != nil {
		return nil, usageError{err}
	}
	return json.Marshal(policy)
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
