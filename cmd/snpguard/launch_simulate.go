package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/asp"
)

// runSimulated launches beside a simulated AMD-SP.
func (o *launchOptions) runSimulated(cmd *cobra.Command, b *openedBundle, machine launch.Machine) (launch.Ending, error) {
	version, err := launch.QEMUVersion(cmd.Context(), o.qemu)
	if err != nil {
		return "", err
	}
	guest, err := o.launchSimulated(cmd, b.guest, machine)
	if err != nil {
		return "", err
	}
	s := launch.Simulation{Guest: b.guest, Machine: machine, Version: version, Firmware: launch.SimFirmware(o.simFirmware)}
	if s.Firmware == launch.FirmwareAmdSev {
		if s.Hashes, err = b.guest.WriteHashes(b.scratch); err != nil {
			return "", err
		}
	}
	if s.KVM, err = launch.KVMWorks(cmd.Context(), o.qemu, b.scratch); err != nil {
		return "", err
	}
	how := "KVM"
	if !s.KVM {
		how = "emulation, because KVM is not available"
	}
	note(cmd, "snpguard: SIMULATED AMD-SP, launch digest %s, by %s; nothing is protected", guest.Measurement(), how)
	listener, socket, err := asp.Listen(cmd.Context(), b.scratch)
	if err != nil {
		return "", err
	}
	s.Socket = socket
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- guest.Serve(ctx, listener) }()
	ending, err := o.runQEMU(cmd, b, s.Args())
	cancel()
	return ending, errors.Join(err, <-served)
}

// launchSimulated asks the simulated AMD-SP. Its refusal is the answer "no".
func (o *launchOptions) launchSimulated(cmd *cobra.Command, g *launch.Guest, m launch.Machine) (*asp.Guest, error) {
	chip, err := (&simReportOptions{product: o.simProduct, chip: o.simChip}).simChip()
	if err != nil {
		return nil, usageError{err}
	}
	amd, err := openSim(cmd.ErrOrStderr(), o.simState, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--sim-state: %s does not exist; give the state file from \"snpguard sim kds\" whose roots the service trusts", o.simState)
	}
	if err != nil {
		return nil, err
	}
	guest, err := asp.LaunchFiles(amd, chip, g, m, false)
	for _, refusal := range asp.Refusals() {
		if errors.Is(err, refusal) {
			note(cmd, "snpguard: the simulated AMD-SP refuses the launch: %v", err)
			return nil, errNo
		}
	}
	return guest, err
}
