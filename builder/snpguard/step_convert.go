package snpguard

import (
	"context"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/snpguard-go/packer-plugin-snpguard/builder/conversion"
)

// stepConvert converts what has been downloaded.
type stepConvert struct {
	config  *conversion.Config
	force   bool
	convert conversion.Converter
}

// Run implements multistep.Step.
func (s *stepConvert) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	ui, source := state.Get("ui").(packer.Ui), state.Get(stateSource).(string)
	artifact, err := s.config.Run(ctx, ui, source, s.force, s.convert)
	if err != nil {
		state.Put(stateError, err)
		ui.Error(err.Error())
		return multistep.ActionHalt
	}
	state.Put(stateArtifact, artifact)
	return multistep.ActionContinue
}

// Cleanup implements multistep.Step. A build that was cancelled behind this step
// leaves nothing.
func (s *stepConvert) Cleanup(state multistep.StateBag) {
	_, cancelled := state.GetOk(multistep.StateCancelled)
	_, halted := state.GetOk(multistep.StateHalted)
	artifact, made := state.Get(stateArtifact).(*conversion.Artifact)
	if !made || !cancelled && !halted {
		return
	}
	ui := state.Get("ui").(packer.Ui)
	ui.Say("Deleting the converted image...")
	if err := artifact.Destroy(); err != nil {
		ui.Error(err.Error())
	}
}
