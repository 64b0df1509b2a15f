// Package convert is the Packer post-processor "snpguard-convert": the conversion
// of the builder "snpguard", of a disk image that another builder has made.
package convert

import (
	"context"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
)

//go:generate packer-sdc mapstructure-to-hcl2 -type Config
//go:generate packer-sdc struct-markdown

// Config is a block of the post-processor.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`
	conversion.Config   `mapstructure:",squash"`

	// Name of the disk image's file, where the artifact has several. Default: the
	// one that the builder names, or the only one.
	In string `mapstructure:"in"`

	ctx interpolate.Context
}

// PostProcessor implements packer.PostProcessor.
type PostProcessor struct{ config Config }

// ConfigSpec implements packer.PostProcessor.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packer.PostProcessor. It finds what can be known to be
// wrong.
func (p *PostProcessor) Configure(raws ...any) error {
	c := &p.config
	err := config.Decode(c, &config.DecodeOpts{PluginType: "snpguard-convert", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil {
		return err
	}
	if c.OutputDirectory == "" {
		c.OutputDirectory = "output-" + c.PackerBuildName + "-snpguard" // beside the builder's own
	}
	return c.Prepare(c.PackerBuildName, c.PackerForce)
}

// PostProcess implements packer.PostProcessor. The artifact that comes in holds
// the same disk in clear and is not kept, unless that is asked for.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packer.Ui, source packer.Artifact) (a packer.Artifact, keep, force bool, err error) {
	disk, err := conversion.Disk(source, p.config.In)
	if err != nil {
		return nil, false, false, err
	}
	artifact, err := p.config.Run(ctx, ui, disk, p.config.PackerForce, convert.Convert)
	if err != nil {
		return nil, false, false, err
	}
	return artifact, false, false, nil
}
