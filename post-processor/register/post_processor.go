// Package register is the Packer post-processor "snpguard-register": it registers
// a converted image with an attestation service and fetches the launch bundle. The
// work is in internal/client/register.
package register

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/staging"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bundle"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// PostProcessor implements packer.PostProcessor.
type PostProcessor struct{ config Config }

// ConfigSpec implements packer.PostProcessor.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure implements packer.PostProcessor.
func (p *PostProcessor) Configure(raws ...any) error { return p.config.prepare(raws...) }

// PostProcess implements packer.PostProcessor. The artifact that comes in is
// always kept: it is what has been registered. Nor does a failure cost it.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packer.Ui, source packer.Artifact) (a packer.Artifact, keep, force bool, err error) {
	artifact, err := p.register(ctx, ui, source)
	if err != nil {
		kept := source.State(conversion.StateKeep) == true
		if image, ok := source.State(conversion.StateImage).(string); ok && kept {
			err = fmt.Errorf(`%w; the converted image is kept: %s ("snpguard register --staging %s" registers it later)`,
				err, image, p.config.Staging)
		}
		return nil, true, true, err
	}
	return artifact, true, true, nil
}

func (p *PostProcessor) register(ctx context.Context, ui packer.Ui, source packer.Artifact) (*Artifact, error) {
	c := &p.config
	if err := c.findStaging(source); err != nil {
		return nil, err
	}
	request, err := c.Request()
	if err != nil {
		return nil, err
	}
	service, login, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ui.Say(fmt.Sprintf("Registering %s with %s...", c.Staging, login.URL))
	registered, err := send(ctx, ui, service, request)
	if err != nil {
		return nil, fmt.Errorf("register image %s with %s: %w", request.Registration.ImageID, login.URL, err)
	}
	for _, v := range registered.Release.Variants {
		ui.Say(fmt.Sprintf("    %dx%s: launch digest %s", v.VCPUs, v.VCPUType, v.Measurement))
	}
	warnings, err := register.Warnings(registered.Image.Policy)
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		ui.Say("    WARNING: " + warning)
	}
	if registered.Release.State == wire.StateProposed {
		ui.Say(fmt.Sprintf("    Proposed: it unlocks nothing until \"snpguard release approve %s %s\".", registered.Image.ID, registered.Release.ID))
	}
	ui.Say("Downloading the launch bundle to " + c.Bundle + "...")
	b := register.Bundle{
		BundleRequest: client.BundleRequest{Image: registered.Image.ID, Release: registered.Release.ID, Format: bundle.TarGz},
		Out:           c.Bundle, Identity: login.IdentityKey,
	}
	if err := b.Download(ctx, service); err != nil {
		return nil, fmt.Errorf("image %s is registered, but its bundle could not be downloaded, \"snpguard image export\" tries again: %w",
			registered.Image.ID, err)
	}
	return newArtifact(source, c.Bundle, login.URL, registered)
}

// findStaging takes the staging directory of the artifact, if none is named, and
// makes sure that nothing in it has changed since the conversion.
func (c *Config) findStaging(source packer.Artifact) error {
	if c.Staging == "" {
		for _, path := range source.Files() {
			if filepath.Base(path) == staging.NameConversion {
				c.Staging = filepath.Dir(path)
			}
		}
	}
	if c.Staging == "" {
		return option.Missingf("staging", "the artifact of %s has none; "+
			"put snpguard-register after the builder snpguard or the post-processor snpguard-convert", source.BuilderId())
	}
	if c.Bundle == "" {
		c.Bundle = filepath.Join(filepath.Dir(c.Staging), "launch-artifacts.tar.gz")
	}
	conversion, err := staging.Read(c.Staging)
	if err != nil {
		return option.Wrap("staging", err)
	}
	return option.Wrap("staging", conversion.Check(c.Staging))
}

// send registers, with a bar.
func send(ctx context.Context, ui packer.Ui, service *client.Client, request *register.Request) (*wire.Registered, error) {
	bar := conversion.NewBar(ui, "upload", request.Size)
	defer bar.Done()
	return request.Send(ctx, service, bar.Add)
}
