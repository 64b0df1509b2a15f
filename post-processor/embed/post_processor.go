// Package embed is the Packer post-processor "snpguard-embed": it puts the launch
// bundle of a registered image onto its disk, which then boots alone. The work is
// in internal/image/embed.
package embed

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
	"github.com/snpguard-go/packer-plugin-snpguard/post-processor/register"
)

// PostProcessor implements packer.PostProcessor.
type PostProcessor struct{ config Config }

// ConfigSpec implements packer.PostProcessor.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packer.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error { return p.config.prepare(raws...) }

// PostProcess implements packer.PostProcessor. The artifact that comes in is the one
// that goes out and is always kept: its disk has been changed in place. Nor does a
// failure cost it.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packer.Ui, source packer.Artifact) (a packer.Artifact, keep, force bool, err error) {
	c := &p.config
	if err := c.find(source); err != nil {
		return nil, true, true, err
	}
	login, err := c.Login(ctx)
	if err != nil {
		return nil, true, true, err
	}
	f, err := os.Open(c.Bundle)
	if err != nil {
		return nil, true, true, option.Wrap("bundle", err)
	}
	defer f.Close()
	ui.Say(fmt.Sprintf("Embedding %s into %s...", c.Bundle, c.Image))
	result, err := embed.Embed(ctx, &embed.Options{Config: c.Config, Reader: f, Trust: bundle.Trust{Identity: login.IdentityKey}})
	if err != nil {
		return nil, true, true, fmt.Errorf("embed %s into %s: %w", c.Bundle, c.Image, err)
	}
	ui.Say(fmt.Sprintf("    partition %d, %s, slot %s", result.Partition, size.Text(result.Size), result.Slot))
	return source, true, true, nil
}

// find takes image and bundle of the artifact where none is named.
func (c *Config) find(source packer.Artifact) error {
	if c.Image == "" {
		c.Image, _ = source.State(conversion.StateImage).(string)
	}
	if c.Bundle == "" {
		c.Bundle, _ = source.State(register.StateBundle).(string)
	}
	for name, path := range map[option.Name]string{"image": c.Image, "bundle": c.Bundle} {
		if path == "" {
			return option.Missingf(name, "the artifact of %s has none; put snpguard-embed after the post-processor snpguard-register", source.BuilderId())
		}
	}
	return nil
}
