package measure_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/testing/vectors"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// One Launch gives the digest of every size in which a guest may be launched.
func ExampleNew() {
	firmware, err := measure.ParseFirmware(read("fw/ovmf-amdsev-sid-2026.08.fd"))
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := measure.HashKernel(bytes.NewReader(read("payload/kernel_1000.bin")), nil, "quiet")
	if err != nil {
		log.Fatal(err)
	}
	launch, err := measure.New(measure.Config{Firmware: firmware, Kernel: &kernel, GuestFeatures: measure.DefaultGuestFeatures})
	if err != nil {
		log.Fatal(err)
	}
	milan, err := measure.ParseVCPUType("EPYC-Milan")
	if err != nil {
		log.Fatal(err)
	}
	for _, count := range []int{1, 512} {
		vcpus := measure.VCPUs{Count: count, Type: milan}
		digest, err := launch.Digest(vcpus)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(vcpus, digest)
	}
	// Output:
	// 1xEPYC-Milan 9d1e6d78bb6530bdd4f0f8106119e4c4a92e842bf5d850c55ea6b7bd2aeb593374e2046e908f25c574b564373791be51
	// 512xEPYC-Milan edb5e4618d32119a95fbb5c7e4112f40417fa46eed4ca4bc4a33e667da5404d1dc15ff3d314bf0ea3af4ceae80e49c7d
}

// Two launches whose digests differ are told apart by what went into them.
func ExampleCompare() {
	firmware, err := measure.ParseFirmware(read("fw/ovmf-amdsev-sid-2026.08.fd"))
	if err != nil {
		log.Fatal(err)
	}
	explain := func(cmdline, vcpuType string) *measure.Explanation {
		kernel, err := measure.HashKernel(bytes.NewReader(read("payload/kernel_1000.bin")), nil, cmdline)
		if err != nil {
			log.Fatal(err)
		}
		launch, err := measure.New(measure.Config{Firmware: firmware, Kernel: &kernel, GuestFeatures: measure.DefaultGuestFeatures})
		if err != nil {
			log.Fatal(err)
		}
		model, err := measure.ParseVCPUType(vcpuType)
		if err != nil {
			log.Fatal(err)
		}
		explanation, err := measure.Explain(launch, measure.VCPUs{Count: 1, Type: model})
		if err != nil {
			log.Fatal(err)
		}
		return explanation
	}
	for _, d := range measure.Compare(explain("quiet", "EPYC-Milan"), explain("quiet debug", "EPYC-Genoa")) {
		fmt.Println(d.Meaning)
	}
	// Output:
	// kernel command line differs
	// vCPU type differs
}

// A model that QEMU does not have is answered by those that are spelled most like it.
func ExampleParseVCPUType() {
	genoa, err := measure.ParseVCPUType("EPYC-Genoa")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %#x\n", genoa.Name, genoa.Signature)
	_, err = measure.ParseVCPUType("EPYC-Gena")
	fmt.Println(err)
	// Output:
	// EPYC-Genoa 0xa10f10
	// invalid vCPUs: unknown vCPU type "EPYC-Gena", did you mean EPYC-Genoa, EPYC-v1, EPYC-v2?
}

// read returns a file that measurements are tested with.
func read(name string) []byte {
	data, err := vectors.ReadFile("measure/inputs/" + name)
	if err != nil {
		log.Fatal(err)
	}
	return data
}
