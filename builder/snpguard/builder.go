// Package snpguard is the Packer builder "snpguard": a stock cloud image in, an
// image for confidential VMs out. The work is in internal/image/convert.
package snpguard

import (
	"context"
	"errors"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/multistep/commonsteps"
	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
)

// Keys of the state bag.
const (
	stateSource   = "iso_path"
	stateArtifact = "artifact"
	stateError    = "error"
)

// Builder implements packer.Builder.
type Builder struct {
	config Config
	runner multistep.Runner
}

// ConfigSpec implements packer.Builder.
func (b *Builder) ConfigSpec() hcldec.ObjectSpec { return b.config.FlatMapstructure().HCL2Spec() }

// Prepare implements packer.Builder.
func (b *Builder) Prepare(raws ...any) (generated, warnings []string, err error) {
	warnings, err = b.config.prepare(raws...)
	return nil, warnings, err
}

// Run implements packer.Builder.
func (b *Builder) Run(ctx context.Context, ui packer.Ui, hook packer.Hook) (packer.Artifact, error) {
	state := new(multistep.BasicStateBag)
	state.Put("ui", ui)
	state.Put("hook", hook)
	b.runner = commonsteps.NewRunner([]multistep.Step{
		&commonsteps.StepDownload{
			Checksum: b.config.ISOChecksum, Description: "source image", Extension: b.config.TargetExtension,
			ResultKey: stateSource, TargetPath: b.config.TargetPath, Url: b.config.ISOUrls,
		},
		&stepConvert{config: &b.config.Config, force: b.config.PackerForce, convert: convert.Convert},
	}, b.config.PackerConfig, ui)
	b.runner.Run(ctx, state)
	if err, failed := state.Get(stateError).(error); failed {
		return nil, err
	}
	artifact, made := state.Get(stateArtifact).(*conversion.Artifact)
	if !made {
		return nil, errors.New("build was cancelled")
	}
	return artifact, nil
}
