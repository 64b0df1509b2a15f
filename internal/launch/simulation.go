package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim/aspport"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// SimFirmware is the firmware of a simulated guest.
type SimFirmware string

// The firmwares of simulated guests. What is measured is the bundle's firmware
// with both.
const (
	FirmwareDirect SimFirmware = "direct" // QEMU's own loader starts the kernel
	FirmwareAmdSev SimFirmware = "amdsev" // the bundle's firmware, which checks the kernel's hashes
)

// ParseSimFirmware reads the name of a firmware. The error wraps ErrMachine.
func ParseSimFirmware(s string) (SimFirmware, error) {
	switch f := SimFirmware(s); f {
	case FirmwareDirect, FirmwareAmdSev:
		return f, nil
	}
	return "", fmt.Errorf("%w: firmware %q, want %s or %s", ErrMachine, s, FirmwareDirect, FirmwareAmdSev)
}

// Simulation is a guest without SEV-SNP beside a simulated AMD-SP.
type Simulation struct {
	Guest    *Guest
	Machine  Machine
	KVM      bool   // KVM works here; otherwise QEMU emulates
	Socket   string // path of the simulated AMD-SP's
	Firmware SimFirmware
	Version  Version     // QEMU's
	Hashes   *HashesFile // for FirmwareAmdSev
}

// Args returns QEMU's arguments, without the program.
func (s Simulation) Args() []string {
	accel := tcgArgs()
	if s.KVM {
		accel = kvmArgs()
	}
	args := append([]string{"-machine", "q35"}, accel...)
	if s.Firmware == FirmwareAmdSev {
		args = append(args, "-bios", s.Guest.Firmware,
			"-device", fmt.Sprintf("loader,file=%s,addr=%#x,force-raw=on", escape(s.Hashes.Path), s.Hashes.GPA))
		// QEMU changes the kernel's setup header before it hands it on, and the
		// firmware would refuse it. It prefers the kernel as it is in the file.
		if !s.Version.AtLeast(rawKernelVersion()) {
			args = append(args, "-fw_cfg", "name=etc/boot/kernel,file="+escape(s.Guest.Kernel))
		}
	}
	args = append(args,
		"-chardev", "socket,id=asp0,path="+escape(s.Socket), // it is there before QEMU is
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=asp0,name="+aspport.PortName)
	return append(args, s.Machine.args(s.Guest, "")...)
}

// HashesFile is an SEV hashes table in a file, with the address where the
// firmware looks for it.
type HashesFile struct {
	Path string
	GPA  uint32
}

// WriteHashes makes the hashes table of a guest in dir. QEMU itself writes it into
// the memory of SEV guests only. The table is the measured one, of the same bytes.
// The error wraps those of package measure for a firmware that checks no kernel.
func (g *Guest) WriteHashes(dir string) (*HashesFile, error) {
	data, err := g.ReadFirmware()
	if err != nil {
		return nil, err
	}
	firmware, err := measure.ParseFirmware(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Firmware, err)
	}
	gpa, err := firmware.KernelHashesGPA()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Firmware, err)
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
	hashes, err := measure.HashKernel(kernel, initrd, g.Cmdline)
	if err != nil {
		return nil, err
	}
	f := &HashesFile{Path: filepath.Join(dir, "hashes.bin"), GPA: gpa}
	return f, os.WriteFile(f.Path, hashes.Table(), 0o600)
}

// ReadFirmware returns the firmware, at most one byte more than can be measured.
func (g *Guest) ReadFirmware() ([]byte, error) {
	f, err := os.Open(g.Firmware)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, measure.MaxFirmwareSize+1))
	if err != nil {
		return nil, fmt.Errorf("read firmware: %w", err)
	}
	return data, nil
}

// ErrNotSimulated is a bundle of real attestation in a simulation, in which its
// guest could only fail.
var ErrNotSimulated = errors.New("this image was registered with a service that trusts the real AMD; it cannot attest in a simulation")
