package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// config turns the flags into what is launched, apart from the vCPUs.
func (o *measureOptions) config(firmware *measure.Firmware) (measure.Config, error) {
	config := measure.Config{Firmware: firmware, SVSMVarsSize: o.varsSize}
	var err error
	if config.VMM, err = measure.ParseVMM(o.vmm); err != nil {
		return config, usageErrorf("--vmm: %w", err)
	}
	if config.GuestFeatures, err = strconv.ParseUint(o.guestFeatures, 0, 64); err != nil {
		return config, usageErrorf("--guest-features: %q is not a 64-bit number", o.guestFeatures)
	}
	if o.firmwareHash != "" {
		digest, err := measure.ParseDigest(o.firmwareHash)
		if err != nil {
			return config, usageErrorf("--firmware-hash: %w", err)
		}
		config.FirmwareDigest = &digest
	}
	if o.svsm != "" {
		if config.SVSM, err = readFirmware(o.svsm); err != nil {
			return config, err
		}
	}
	config.Kernel, err = o.kernelHashes()
	return config, err
}

// maxCommandLineSize bounds a command line in bytes. Linux takes less than 2 KiB
// on x86.
const maxCommandLineSize = 64 << 10

// kernelHashes returns nil when there is no kernel.
func (o *measureOptions) kernelHashes() (*measure.KernelHashes, error) {
	if o.cmdline != "" && o.cmdlineFile != "" {
		return nil, usageErrorf("--cmdline and --cmdline-file exclude each other")
	}
	if o.kernel == "" {
		if o.initrd != "" || o.cmdline != "" || o.cmdlineFile != "" {
			return nil, usageErrorf("an initrd or a command line needs a kernel: give --kernel")
		}
		return nil, nil
	}
	if o.cmdlineFile != "" {
		text, err := readWhole(o.cmdlineFile, maxCommandLineSize)
		if err != nil {
			return nil, err
		}
		o.cmdline = strings.TrimSuffix(string(text), "\n")
	}
	kernel, err := openInput(o.kernel)
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	var initrd io.Reader
	if o.initrd != "" {
		f, err := openInput(o.initrd)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		initrd = f
	}
	hashes, err := measure.HashKernel(kernel, initrd, o.cmdline)
	if err != nil {
		return nil, measureError(err)
	}
	return &hashes, nil
}

// maxVariants bounds how many variants one command measures.
const maxVariants = 4096

// variants multiplies the counts of vCPUs with their types.
func (o *measureOptions) variants(vmm measure.VMM) ([]measure.VCPUs, error) {
	if len(o.vcpus) == 0 {
		return nil, usageErrorf("--vcpus is missing: the number of vCPUs of the guest")
	}
	types, err := o.types(vmm)
	if err != nil {
		return nil, err
	}
	if n := len(types) * len(o.vcpus); n > maxVariants {
		return nil, usageErrorf("--vcpus and --vcpu-type make %d variants, want at most %d", n, maxVariants)
	}
	var variants []measure.VCPUs
	for _, t := range types {
		for _, n := range o.vcpus {
			variants = append(variants, measure.VCPUs{Count: n, Type: t})
		}
	}
	return variants, nil
}

func (o *measureOptions) types(vmm measure.VMM) ([]measure.VCPUType, error) {
	if count(len(o.vcpuTypes) > 0, o.vcpuSignature != "", o.familyFlags > 0) > 1 {
		return nil, usageErrorf("--vcpu-type, --vcpu-signature and --vcpu-family exclude each other")
	}
	switch {
	case len(o.vcpuTypes) > 0:
		var types []measure.VCPUType
		for _, name := range o.vcpuTypes {
			t, err := measure.ParseVCPUType(name)
			if err != nil {
				return nil, usageErrorf("--vcpu-type: %w", err)
			}
			types = append(types, t)
		}
		return types, nil
	case o.vcpuSignature != "":
		signature, err := strconv.ParseUint(o.vcpuSignature, 0, 32)
		if err != nil {
			return nil, usageErrorf("--vcpu-signature: %q is not a 32-bit number", o.vcpuSignature)
		}
		return []measure.VCPUType{measure.VCPUTypeFromSignature(uint32(signature))}, nil
	case o.familyFlags > 0:
		if o.familyFlags < 3 {
			return nil, usageErrorf("--vcpu-family, --vcpu-model and --vcpu-stepping must be given together")
		}
		signature, err := measure.Signature(o.vcpuFamily, o.vcpuModel, o.vcpuStepping)
		if err != nil {
			return nil, usageErrorf("--vcpu-family: %w", err)
		}
		return []measure.VCPUType{measure.VCPUTypeFromSignature(signature)}, nil
	case vmm.UsesSignature():
		return nil, usageErrorf("the vCPU type is missing: give --vcpu-type, --vcpu-signature, " +
			"or --vcpu-family, --vcpu-model and --vcpu-stepping")
	}
	return []measure.VCPUType{{}}, nil
}

// count returns how many of the conditions hold.
func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// readFirmware parses a firmware file, whose size it bounds before it reads.
func readFirmware(path string) (*measure.Firmware, error) {
	data, err := readBounded(path, measure.MaxFirmwareSize+1)
	if err != nil {
		return nil, err
	}
	firmware, err := measure.ParseFirmware(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return firmware, nil
}
