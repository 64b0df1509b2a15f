package snpguard

import (
	"errors"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config

// Config is a source block of the builder "snpguard".
type Config struct {
	common.PackerConfig   `mapstructure:",squash"`
	commonsteps.ISOConfig `mapstructure:",squash"`
	conversion.Config     `mapstructure:",squash"`

	ctx interpolate.Context
}

// prepare reads a source block and finds what can be known to be wrong.
func (c *Config) prepare(raws ...any) (warnings []string, err error) {
	err = config.Decode(c, &config.DecodeOpts{PluginType: "snpguard", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil {
		return nil, err
	}
	if c.TargetExtension == "" {
		c.TargetExtension = "qcow2"
	}
	warnings, problems := c.ISOConfig.Prepare(&c.ctx)
	problems = append(problems, option.List(c.Config.Prepare(c.PackerBuildName, c.PackerForce))...)
	if c.Simulate {
		warnings = append(warnings, "simulate is on: the image attests with a simulated AMD-SP, for tests only and without protection")
	}
	if c.NoEncryption {
		warnings = append(warnings, "no_encryption is on: anyone who has the image can read its disk")
	}
	return warnings, multiError(problems)
}

// multiError lists errors as Packer does.
func multiError(problems []error) error {
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w", err)
	}
	return nil
}
