package embed

import (
	"errors"

	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config
//go:generate packer-sdc struct-markdown

// Config is a block of the post-processor.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	meet.Service        `mapstructure:",squash"`

	// The disk image to change in place, qcow2 or raw. By default that of the
	// artifact.
	Image string `mapstructure:"image"`
	// The launch bundle to put onto it, tar.gz or tar. By default that of the
	// artifact, which `snpguard-register` has downloaded.
	Bundle string `mapstructure:"bundle"`
	// Size of the partition, such as `512M`. By default as it is, or 512 MiB.
	Size string `mapstructure:"size"`
	// Keep the active slot and put the bundle into the other one, which then is
	// active.
	Update bool `mapstructure:"update"`

	size int64
	ctx  interpolate.Context
}

// prepare reads a block and finds what can be known to be wrong.
func (c *Config) prepare(raws ...any) error {
	err := config.Decode(c, &config.DecodeOpts{PluginType: "snpguard-embed", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil {
		return err
	}
	var problems []error
	if c.Size != "" && c.Size != option.Placeholder {
		if c.size, err = size.Parse(c.Size); err != nil {
			problems = append(problems, option.Wrap("size", err))
		}
	}
	return option.Known(errors.Join(problems...))
}
