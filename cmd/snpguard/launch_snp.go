package main

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
)

// machine turns flags into what the host adds to the guest.
func (o *launchOptions) machine() (launch.Machine, error) {
	m := launch.Machine{Snapshot: o.snapshot, HostData: o.hostData}
	var err error
	if m.Memory, err = launch.ParseMemory(o.memory); err != nil {
		return m, usageErrorf("--memory: %w", err)
	}
	if m.Network, err = launch.ParseNetwork(o.network); err != nil {
		return m, usageErrorf("--network: %w", err)
	}
	if m.Network, err = m.Network.WithSSH(o.sshPort); err != nil {
		return m, usageErrorf("--ssh-port: %w", err)
	}
	m.Disk, err = launch.OpenDisk(o.disk)
	return m, err
}

// runSNP launches with SEV-SNP, or prints how.
func (o *launchOptions) runSNP(cmd *cobra.Command, b *openedBundle, machine launch.Machine) (launch.Ending, error) {
	encryption, err := o.encryption(cmd)
	if err != nil {
		return "", err
	}
	snp := launch.SNP{Guest: b.guest, Machine: machine, Encryption: encryption}
	switch {
	case o.format == formatLibvirt:
		xml, err := snp.Domain(cmp.Or(o.name, launch.DomainName(b.manifest.Image, machine.Disk)))
		if err != nil {
			return "", usageError{err}
		}
		_, err = cmd.OutOrStdout().Write(xml)
		return "", err
	case o.dryRun:
		_, err := fmt.Fprint(cmd.OutOrStdout(), launch.Shell(o.qemu, append(snp.Args(), o.extra...)))
		return "", err
	}
	if err := o.checkHost(cmd, b.guest); err != nil {
		return "", err
	}
	return o.runQEMU(cmd, b, snp.Args())
}

// encryption asks the processor what the flags leave open. To print, values that
// suit all processors with SEV-SNP do.
func (o *launchOptions) encryption(cmd *cobra.Command) (launch.Encryption, error) {
	e, err := launch.HostEncryption()
	if err != nil {
		e = launch.DefaultEncryption()
		if o.cbitpos == 0 && o.prints() {
			note(cmd, "snpguard: %v; taking %d, as of Milan, Genoa and Turin", err, e.CBitPos)
		}
	}
	if o.cbitpos > 63 || o.reducedPhysBits > 63 {
		return e, usageErrorf("--cbitpos and --reduced-phys-bits are at most 63")
	}
	if o.cbitpos != 0 {
		e.CBitPos = o.cbitpos
	}
	if o.reducedPhysBits != 0 {
		e.ReducedPhysBits = o.reducedPhysBits
	}
	return e, nil
}

// checkHost names everything that is missing at once.
func (o *launchOptions) checkHost(cmd *cobra.Command, g *launch.Guest) error {
	host, err := launch.ThisHost(o.qemu)
	if err != nil {
		return err
	}
	missing := host.Missing(cmd.Context())
	lacks, err := g.MissingFirmware()
	if err != nil {
		return err
	}
	if lacks != "" {
		missing = append(missing, lacks)
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this host cannot launch SEV-SNP guests:\n  %s\nto try an image without SEV-SNP, register it with a service that trusts a simulated AMD and use --simulate",
		strings.Join(missing, "\n  "))
}

// qemuGrace is how long QEMU may take to end after it was asked to: less than
// interruptGrace.
const qemuGrace = 5 * time.Second

// runQEMU runs QEMU on this terminal until the guest ends, and returns why it did.
func (o *launchOptions) runQEMU(cmd *cobra.Command, b *openedBundle, args []string) (launch.Ending, error) {
	monitor, err := launch.ListenMonitor(cmd.Context(), b.scratch)
	if err != nil {
		return "", err
	}
	qemu := exec.CommandContext(cmd.Context(), o.qemu, slices.Concat(args, monitor.Args(), o.extra)...)
	qemu.Stdin, qemu.Stdout, qemu.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	qemu.Cancel = func() error { return qemu.Process.Signal(syscall.SIGTERM) }
	qemu.WaitDelay = qemuGrace
	err = qemu.Run()
	ending, unheard := monitor.Close()
	switch {
	case cmd.Context().Err() != nil:
		return "", errors.New("interrupted; the guest was ended")
	case err != nil:
		return "", fmt.Errorf("run %s: %w", o.qemu, err)
	}
	return ending, unheard
}
