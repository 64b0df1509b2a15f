// Package asp is a simulated AMD Secure Processor (AMD-SP), as far as one guest
// sees it: it refuses or accepts a launch, and then makes attestation reports.
//
// [Launch] does what SNP_LAUNCH_START to SNP_LAUNCH_FINISH do: it computes the
// launch digest from the very bytes that are going to boot and holds it, and the
// guest policy, against the signed ID block. [Guest.Report] does what
// MSG_REPORT_REQ does, and [Serve] answers it on a socket in the protocol of
// package aspport.
//
// It follows AMD, SEV Secure Nested Paging Firmware ABI, publication 56860 rev.
// 1.58, sections 7.3 and 8.16 to 8.18. It protects nothing: guest memory is
// plain, and its keys are those of a simulated AMD.
package asp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/snp"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/sim"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// Why a launch is refused. Each is named like the status code of the AMD-SP
// (56860 rev. 1.58, chapter 5) that it stands for.
var (
	ErrBadMeasurement = errors.New("BAD_MEASUREMENT")
	ErrBadSignature   = errors.New("BAD_SIGNATURE")
	ErrPolicyFailure  = errors.New("POLICY_FAILURE")
	ErrInvalidParam   = errors.New("INVALID_PARAM")
)

// Input is what a hypervisor hands to the AMD-SP at a launch.
type Input struct {
	Firmware []byte
	Kernel   io.Reader // read to its end
	Initrd   io.Reader // likewise
	Cmdline  string
	VCPUs    measure.VCPUs
	Policy   idblock.GuestPolicy // POLICY of SNP_LAUNCH_START
	IDBlock  []byte              // none of both: launch without an ID block
	IDAuth   []byte
	HostData [32]byte // HOST_DATA of SNP_LAUNCH_FINISH, which nothing measures

	// Force launches although the ID block does not match, which no AMD-SP
	// does: tests show with it that a service does not rely on the launch alone.
	Force bool
}

// Guest is a launched guest.
type Guest struct {
	template snp.Report
	vcek     *sim.VEK
	table    []byte
}

// Launch launches a guest on a chip. The error wraps one of the Err values of
// this package when the AMD-SP would refuse, and says what was expected and what
// was found; otherwise it is one of package measure or of a reader.
func Launch(amd *sim.AMD, chip sim.Chip, in Input) (*Guest, error) {
	digest, err := in.digest()
	if err != nil {
		return nil, fmt.Errorf("measure launch: %w", err)
	}
	report := sim.ReportTemplate(chip)
	report.Policy = uint64(in.Policy)
	report.Measurement, report.HostData = digest, in.HostData
	if _, err := rand.Read(report.ReportID[:]); err != nil {
		return nil, err
	}
	if err := in.identify(report, digest); err != nil {
		return nil, err
	}
	vcek, err := amd.VCEK(chip)
	if err != nil {
		return nil, err
	}
	line := amd.Line(chip.Product)
	table := snp.CertTable{VCEK: vcek.Certificate.Raw, ASK: line.ASK.Certificate.Raw, ARK: line.ARK.Certificate.Raw}
	return &Guest{template: *report, vcek: vcek, table: table.Bytes()}, nil
}

// Measurement returns the launch digest.
func (g *Guest) Measurement() measure.Digest { return g.template.Measurement }

// ReportID returns REPORT_ID, which is random for each launch.
func (g *Guest) ReportID() [snp.ReportIDSize]byte { return g.template.ReportID }

// digest measures what is launched, as QEMU loads it with kernel-hashes=on.
func (in Input) digest() (measure.Digest, error) {
	firmware, err := measure.ParseFirmware(in.Firmware)
	if err != nil {
		return measure.Digest{}, err
	}
	hashes, err := measure.HashKernel(in.Kernel, in.Initrd, in.Cmdline)
	if err != nil {
		return measure.Digest{}, err
	}
	launch, err := measure.New(measure.Config{
		Firmware: firmware, Kernel: &hashes, GuestFeatures: measure.DefaultGuestFeatures,
	})
	if err != nil {
		return measure.Digest{}, err
	}
	return launch.Digest(in.VCPUs)
}
