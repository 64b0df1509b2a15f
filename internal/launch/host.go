package launch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/unix"

	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Host is a machine that is to launch SEV-SNP guests.
type Host struct {
	Root    string // where /dev and /sys are; "/" but in tests
	Kernel  string // release, such as "6.11.4"
	SNP     bool   // the processor has SEV-SNP
	Program string // QEMU
}

// ThisHost describes the machine that runs this program.
func ThisHost(program string) (Host, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Host{}, err
	}
	return Host{Root: "/", Kernel: unix.ByteSliceToString(name.Release[:]), SNP: cpuid.CPU.Supports(cpuid.SEV_SNP), Program: program}, nil
}

// hostKernel is the first Linux that runs SEV-SNP guests.
func hostKernel() Version { return Version{6, 11} }

// Missing returns what the host lacks for SEV-SNP guests, a sentence each, and
// nothing when it lacks nothing that can be seen from outside.
func (h Host) Missing(ctx context.Context) []string {
	var missing []string
	add := func(format string, args ...any) { missing = append(missing, fmt.Sprintf(format, args...)) }
	if !h.SNP {
		add("processor: CPUID Fn8000_001F_EAX bit 4 is not set; SEV-SNP needs an AMD EPYC 7003 (Milan) or later, and its host, not a virtual machine")
	}
	if v, ok := kernelVersion(h.Kernel); !ok || !v.AtLeast(hostKernel()) {
		add("kernel: %s; Linux %s or later runs SEV-SNP guests", h.Kernel, hostKernel())
	}
	if on, err := os.ReadFile(filepath.Join(h.Root, "sys/module/kvm_amd/parameters/sev_snp")); err != nil {
		add("kvm_amd: %s is missing; load the module kvm_amd", "/sys/module/kvm_amd/parameters/sev_snp")
	} else if s := strings.TrimSpace(string(on)); s != "Y" && s != "1" {
		add("kvm_amd: sev_snp is %q; enable SEV-SNP and SNP memory (RMP) coverage in the BIOS, and update the SEV firmware (/lib/firmware/amd) to 1.51 or later", s)
	}
	for _, name := range []string{"dev/sev", "dev/kvm"} {
		if err := openBoth(filepath.Join(h.Root, name)); err != nil {
			add("/%s: %v", name, err)
		}
	}
	switch v, err := QEMUVersion(ctx, h.Program); {
	case err != nil:
		add("QEMU: %v", err)
	case !v.AtLeast(snpVersion()):
		add("QEMU: %s is version %s; SEV-SNP came with %s", h.Program, v, snpVersion())
	}
	return missing
}

// openBoth tries to open a device for reading and writing, and says why not.
func openBoth(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case os.IsNotExist(err):
		return fmt.Errorf("it does not exist; the host's kernel makes it when SEV is enabled")
	case os.IsPermission(err):
		return fmt.Errorf("it cannot be opened by this user; join the group that owns it")
	case err != nil:
		return err
	}
	return f.Close()
}

func kernelVersion(release string) (Version, bool) {
	var v Version
	n, err := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor)
	return v, n == 2 && err == nil
}

// MissingFirmware returns what a bundle's firmware lacks, or nothing.
func (g *Guest) MissingFirmware() (string, error) {
	data, err := g.ReadFirmware()
	if err != nil {
		return "", err
	}
	firmware, err := measure.ParseFirmware(data)
	if err == nil {
		_, err = firmware.KernelHashesGPA()
	}
	if err != nil {
		return fmt.Sprintf("firmware: %v", err), nil
	}
	return "", nil
}
