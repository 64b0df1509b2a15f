package register

import (
	"errors"
	"fmt"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Check finds what can be known to be wrong before there is anything to register:
// unknown vCPU types, guest policies that no service takes, malformed TCB floors.
// Each error is an *option.Error; they are joined.
func (c *Config) Check() error {
	_, instances := c.instances()
	problems := []error{c.complete(), c.checkSizes(), instances}
	if c.ImageID != "" {
		_, err := wire.ParseUUID(c.ImageID)
		problems = append(problems, option.Wrap("image_id", err))
	}
	if c.GuestPolicy != "" {
		policy, err := idblock.ParseGuestPolicy(c.GuestPolicy)
		if err == nil {
			err = policy.Validate()
		}
		problems = append(problems, option.Wrap("guest_policy", err))
	}
	_, err := c.reportPolicy()
	return errors.Join(append(problems, err)...)
}

// complete wants what no registration goes without.
func (c *Config) complete() error {
	var problems []error
	if c.Name == "" && !c.AddRelease {
		problems = append(problems, option.Missingf("image_name", "the name of the image, for example debian-13"))
	}
	if c.Disabled && c.AddRelease {
		problems = append(problems, option.Errorf("disabled", "a release that is added unlocks nothing until it is approved: leave out %s", option.Name("disabled")))
	}
	if len(c.VCPUs) == 0 {
		problems = append(problems, option.Missingf("vcpus", "it says, with the vCPU types, which sizes may be launched"))
	}
	if len(c.VCPUTypes) == 0 {
		problems = append(problems, option.Missingf("vcpu_types", "it says, with the counts of vCPUs, which sizes may be launched"))
	}
	return errors.Join(problems...)
}

func (c *Config) checkSizes() error {
	var problems []error
	for _, n := range c.VCPUs {
		if n < 1 || n > measure.MaxVCPUs {
			problems = append(problems, option.Wrap("vcpus", fmt.Errorf("%d is not a number from 1 to %d", n, measure.MaxVCPUs)))
		}
	}
	for _, name := range c.VCPUTypes {
		_, err := measure.ParseVCPUType(name)
		problems = append(problems, option.Wrap("vcpu_types", err))
	}
	return errors.Join(problems...)
}
