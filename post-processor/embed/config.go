package embed

import (
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config

// Config is a block of the post-processor.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	client.Service      `mapstructure:",squash"`
	embed.Config        `mapstructure:",squash"`

	ctx interpolate.Context
}

// prepare reads a block and finds what can be known to be wrong.
func (c *Config) prepare(raws ...any) error {
	err := config.Decode(c, &config.DecodeOpts{PluginType: "snpguard-embed", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil {
		return err
	}
	return option.Known(c.Check(), option.Unknown(c))
}
