package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/qemu"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// launchOptions are the flags of "snpguard launch" as they were given.
type launchOptions struct {
	disk                     qemu.Files
	bundle, variant, extract string
	memory, network          string
	sshPort                  int
	snapshot, dryRun         bool
	instance                 string
	trials                   int
	restart                  string
	format, name, qemu       string
	cbitpos, reducedPhysBits uint32
	trustOptions

	simulate                                   bool
	simState, simFirmware, simProduct, simChip string

	extra []string // for QEMU, as they are

	hostData [wire.HostDataSize]byte // of the instance; zero for none
	found    *wire.Instance          // by its name; nil where the service was not asked
}

// The values of --format.
const (
	formatQEMU    = "qemu"
	formatLibvirt = "libvirt"
)

// The values of --restart.
const (
	restartNo       = "no"
	restartOnReboot = "on-reboot"
)

// defaultTrials is how many launches a slot on trial is given.
const defaultTrials = 3

func newLaunchCommand() *cobra.Command {
	var o launchOptions
	cmd := &cobra.Command{
		Use:   "launch --image IMG [--bundle launch-artifacts.tar.gz] [flags] [-- QEMU-OPTION...]",
		Short: "Launch a converted image, with SEV-SNP or simulated",
		Long: `Launch a converted image with its launch bundle: that of --bundle, or the active
one on the disk itself (see "snpguard embed"). The bundle's signature, by the
identity key of the service that was logged in to or by --identity-key, and every
file in it are checked first. An image converted without encryption is not
signed and has no ID block: --unsigned launches such images only.

The guest's console is this terminal, which shows why a guest ended. Ctrl-C ends
the guest, and so does its power-off. A reboot needs a new launch: with the
bundle on the disk the guest is launched anew, from the slot that is active then
(--restart). A slot on trial, as an update leaves it, is given --trials launches
to confirm that it has booted; then the other slot is the active one again.

An image with instances gives a key to no launch without --instance, which says
whose disk this is.

With --simulate there is no SEV-SNP and no protection: QEMU runs beside a SIMULATED
AMD-SP, which checks the ID block as the chip does and signs reports with the keys
of --sim-state.

Exit codes here:
  0  the guest ended normally
  1  the bundle is not genuine, or the simulated AMD-SP refused the launch
  2  the command line is wrong
  3  the host lacks something, QEMU failed, or the launch was interrupted`,
		Example: `  snpguard launch --image debian-snp.qcow2 --bundle launch-artifacts.tar.gz --ssh-port 2222
  snpguard launch --image debian-snp.qcow2 --bundle launch-artifacts.tar.gz --extract /srv/debian --format libvirt > debian.xml
  snpguard launch --image web-1.qcow2 --backing debian-snp.qcow2 --bundle launch-artifacts.tar.gz --instance web-1
  snpguard launch --image debian-snp.qcow2 --bundle launch-artifacts.tar.gz --simulate --sim-state sim.json --snapshot`,
		Args: onlyAfterDash,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.extra = args
			return runLaunch(cmd, &o)
		},
	}
	o.addLaunchFlags(cmd)
	return cmd
}

func (o *launchOptions) addLaunchFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	addDiskFlags(cmd, &o.disk, "converted disk image")
	f.StringVar(&o.bundle, "bundle", "", "launch bundle of its release, tar.gz or tar (default the one on the disk)")
	f.StringVar(&o.variant, "variant", "", "variant to launch, such as 4xEPYC-Genoa (default the bundle's first)")
	f.StringVar(&o.instance, "instance", "", "name or UUID of the instance to launch; a name is asked of the service")
	_ = cmd.RegisterFlagCompletionFunc("instance", completion(instanceNames)) // an error means that there is one
	f.StringVar(&o.extract, "extract", "", "directory to create and extract the bundle's files to (default temporary)")
	f.StringVar(&o.memory, "memory", "4G", "memory of the guest, such as 4G or 512M")
	f.StringVar(&o.network, "network", launch.NetworkUser, "user, tap=INTERFACE or none")
	f.IntVar(&o.sshPort, "ssh-port", 0, "port on 127.0.0.1 that leads to the guest's port 22, with --network user")
	alsoTakes(cmd, map[string]string{"disk": "image", "net": "network"})
	f.BoolVar(&o.snapshot, "snapshot", false, "forget what the guest writes to its disk")
	f.IntVar(&o.trials, "trials", defaultTrials, "launches for a slot on trial to confirm that it has booted")
	f.StringVar(&o.restart, "restart", "", "on-reboot or no (default on-reboot; with --bundle, --extract or --snapshot no)")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the command without running it")
	f.StringVar(&o.format, "format", formatQEMU, "qemu, or libvirt to print a domain without running it")
	f.StringVar(&o.name, "name", "", "name of the libvirt domain (default derived from image and disk)")
	o.addFlags(cmd)
	f.StringVar(&o.qemu, "qemu", launch.Program, "program to run")
	f.Uint32Var(&o.cbitpos, "cbitpos", 0, "position of the C-bit (default from CPUID)")
	f.Uint32Var(&o.reducedPhysBits, "reduced-phys-bits", 0, "bits of physical addresses that the guest loses (default 1)")
	f.BoolVar(&o.simulate, "simulate", false, "SIMULATE the AMD-SP; nothing is protected")
	f.StringVar(&o.simState, "sim-state", "", "file with the keys of the simulated AMD, made by \"snpguard sim kds\"")
	f.StringVar(&o.simFirmware, "sim-firmware", string(launch.FirmwareDirect), "direct, or amdsev to boot through the bundle's firmware")
	f.StringVar(&o.simProduct, "sim-product", string(snp.Genoa), "product line of the simulated chip: Milan, Genoa or Turin")
	f.StringVar(&o.simChip, "sim-chip", "demo", "name of the simulated chip")
}

// onlyAfterDash takes arguments behind "--" alone.
func onlyAfterDash(cmd *cobra.Command, args []string) error {
	if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
		return fmt.Errorf("unexpected argument %q; options for QEMU go after --", args[0])
	}
	return nil
}

func runLaunch(cmd *cobra.Command, o *launchOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := o.findInstance(cmd); err != nil {
		return err
	}
	for {
		ending, err := o.launchOnce(cmd)
		if err != nil {
			return err
		}
		again, err := o.again(cmd, ending)
		if err != nil || !again {
			return err
		}
		note(cmd, "snpguard: the guest rebooted; it is launched anew")
	}
}

// launchOnce launches the guest, and returns why it ended.
func (o *launchOptions) launchOnce(cmd *cobra.Command) (launch.Ending, error) {
	machine, err := o.machine()
	if err != nil {
		return "", err
	}
	b, err := o.open(cmd)
	if err != nil {
		return "", err
	}
	defer b.remove()
	if o.simulate {
		return o.runSimulated(cmd, b, machine)
	}
	return o.runSNP(cmd, b, machine)
}

// prints reports whether nothing is launched.
func (o *launchOptions) prints() bool { return o.dryRun || o.format == formatLibvirt }

// check looks at what can be seen in the flags alone.
func (o *launchOptions) check() error {
	switch {
	case o.disk.Image == "":
		return usageErrorf("--image is missing: the converted disk image")
	case o.format != formatQEMU && o.format != formatLibvirt:
		return usageErrorf("--format: %q, want %s or %s", o.format, formatQEMU, formatLibvirt)
	case o.format == formatLibvirt && len(o.extra) > 0:
		return usageErrorf("options for QEMU cannot be used with --format libvirt")
	case o.format != formatLibvirt && o.name != "":
		return usageErrorf("--name needs --format libvirt")
	case o.simulate && o.prints():
		return usageErrorf("--simulate runs a simulated AMD-SP beside QEMU; there is no command to print")
	case o.simulate && o.simState == "":
		return usageErrorf("--sim-state is missing: the file with the keys of the simulated AMD, made by \"snpguard sim kds\"")
	case !o.simulate && o.simState != "":
		return usageErrorf("--sim-state needs --simulate")
	}
	for _, check := range []func() error{o.checkInstanceFlags, o.checkRestart} {
		if err := check(); err != nil {
			return err
		}
	}
	_, err := launch.ParseSimFirmware(o.simFirmware)
	if err != nil {
		return usageErrorf("--sim-firmware: %w", err)
	}
	return nil
}
