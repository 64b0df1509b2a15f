package asp

import (
	"os"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/launch"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
)

// LaunchFiles is Launch of a guest of which the files are going to boot as they
// are now: nobody else may be able to write them. HOST_DATA is what the machine has of
// it. Force is Input.Force.
func LaunchFiles(amd *sim.AMD, chip sim.Chip, g *launch.Guest, m launch.Machine, force bool) (*Guest, error) {
	firmware, err := g.ReadFirmware()
	if err != nil {
		return nil, err
	}
	kernel, err := os.Open(g.Kernel)
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	initrd, err := os.Open(g.Initrd)
	if err != nil {
		return nil, err
	}
	defer initrd.Close()
	return Launch(amd, chip, Input{
		Firmware: firmware, Kernel: kernel, Initrd: initrd, Cmdline: g.Cmdline,
		VCPUs: g.VCPUs, Policy: g.Policy, IDBlock: g.IDBlock, IDAuth: g.IDAuth, HostData: m.HostData, Force: force,
	})
}

// Refusals returns the errors that mean that an AMD-SP refuses a launch.
func Refusals() []error {
	return []error{ErrBadMeasurement, ErrBadSignature, ErrPolicyFailure, ErrInvalidParam}
}
