package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

// measureOptions are the flags of "snpguard measure" as they were given.
type measureOptions struct {
	firmware, kernel, initrd string
	cmdline, cmdlineFile     string
	firmwareHash             string
	printFirmwareHash        bool
	vmm, guestFeatures       string
	svsm                     string
	varsSize                 uint32

	vcpus                               []int
	vcpuTypes                           []string
	vcpuSignature                       string
	vcpuFamily, vcpuModel, vcpuStepping uint
	familyFlags                         int // how many of the three were given

	explain, diff, json bool
}

func newMeasureCommand() *cobra.Command {
	var o measureOptions
	cmd := &cobra.Command{
		Use:   "measure --firmware FILE --vcpus N (--vcpu-type TYPE | ...) [flags]\n  snpguard measure --diff A.json B.json",
		Short: "Compute the SEV-SNP launch digest of a guest",
		Long: `Compute the SEV-SNP launch digest of a guest, the MEASUREMENT of its attestation
reports, from the files it is launched with.

One variant prints its digest alone. Several (lists of --vcpus and --vcpu-type
are multiplied) print a JSON array, as does --json.

--explain prints what went into the digest and the digest after each step; with
--json it can be saved, and --diff names the differences between two such
files (exit code 1 when there is one).`,
		Example: `  snpguard measure --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img \
      --cmdline-file kernel-params.txt --vcpus 1,2,4 --vcpu-type EPYC-Genoa,EPYC-Turin
  snpguard measure --firmware OVMF.amdsev.fd --vcpus 4 --vcpu-type EPYC-v4 --explain --json > A.json
  snpguard measure --diff A.json B.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.diff {
				return runMeasureDiff(cmd, args, o.json)
			}
			if len(args) > 0 {
				return usageErrorf("unexpected argument %q", args[0])
			}
			changed := cmd.Flags().Changed
			o.familyFlags = count(changed("vcpu-family"), changed("vcpu-model"), changed("vcpu-stepping"))
			return runMeasure(cmd, &o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *measureOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.firmware, "firmware", "", "OVMF image that the guest starts with")
	f.StringVar(&o.kernel, "kernel", "", "kernel, for a direct boot with kernel-hashes=on")
	f.StringVar(&o.initrd, "initrd", "", "initrd; needs --kernel")
	f.StringVar(&o.cmdline, "cmdline", "", "kernel command line; needs --kernel")
	f.StringVar(&o.cmdlineFile, "cmdline-file", "", "file with the command line; one newline at its end is ignored")
	f.IntSliceVar(&o.vcpus, "vcpus", nil, "counts of vCPUs, separated by commas")
	f.StringSliceVar(&o.vcpuTypes, "vcpu-type", nil, "QEMU's names of vCPU models, separated by commas")
	f.StringVar(&o.vcpuSignature, "vcpu-signature", "", "vCPU signature (CPUID Fn0000_0001_EAX), such as 0x00a00f11")
	f.UintVar(&o.vcpuFamily, "vcpu-family", 0, "vCPU family, with --vcpu-model and --vcpu-stepping")
	f.UintVar(&o.vcpuModel, "vcpu-model", 0, "vCPU model")
	f.UintVar(&o.vcpuStepping, "vcpu-stepping", 0, "vCPU stepping")
	f.StringVar(&o.guestFeatures, "guest-features", measure.Hex(measure.DefaultGuestFeatures).String(),
		"SEV_FEATURES of the vCPUs; an SVSM always has 0x1")
	f.StringVar(&o.vmm, "vmm", measure.QEMU.String(), "virtual machine monitor: qemu, ec2 or gce")
	f.StringVar(&o.svsm, "svsm", "", "COCONUT-SVSM binary in front of the firmware; needs --vars-size")
	f.Uint32Var(&o.varsSize, "vars-size", 0, "size in bytes of the UEFI variables between SVSM and firmware")
	f.StringVar(&o.firmwareHash, "firmware-hash", "", "digest of the firmware alone, in place of hashing it")
	f.BoolVar(&o.printFirmwareHash, "print-firmware-hash", false, "print the value for --firmware-hash and stop")
	alsoTakes(cmd, map[string]string{"ovmf-hash": "firmware-hash", "print-ovmf-hash": "print-firmware-hash"})
	f.BoolVar(&o.explain, "explain", false, "print what went into the digest")
	f.BoolVar(&o.diff, "diff", false, "compare two saved explanations")
	addJSONFlag(cmd, &o.json)
}

// runMeasure measures what all variants share once, then each variant.
func runMeasure(cmd *cobra.Command, o *measureOptions) error {
	if o.firmware == "" {
		return usageErrorf("--firmware is missing: the OVMF build for SEV-SNP that the guest starts with")
	}
	firmware, err := readFirmware(o.firmware)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.printFirmwareHash {
		_, err := fmt.Fprintln(out, measure.FirmwareDigest(firmware))
		return err
	}
	config, err := o.config(firmware)
	if err != nil {
		return err
	}
	variants, err := o.variants(config.VMM)
	if err != nil {
		return err
	}
	launch, err := measure.New(config)
	if err != nil {
		return measureError(fmt.Errorf("%s: %w", o.firmware, err))
	}
	if o.explain {
		return o.printExplanations(out, launch, variants)
	}
	return o.printDigests(out, launch, variants)
}

// measuredVariant is one element of the JSON that "snpguard measure" prints.
type measuredVariant struct {
	VCPUs       int            `json:"vcpus"`
	VCPUType    string         `json:"vcpu_type"` // empty where the VMM starts all types alike
	Measurement measure.Digest `json:"measurement"`
}

func (o *measureOptions) printDigests(out io.Writer, launch *measure.Launch, variants []measure.VCPUs) error {
	var measured []measuredVariant
	for _, v := range variants {
		digest, err := launch.Digest(v)
		if err != nil {
			return measureError(err)
		}
		measured = append(measured, measuredVariant{v.Count, v.Type.Name, digest})
	}
	if o.json || len(measured) > 1 {
		return printJSON(out, measured)
	}
	_, err := fmt.Fprintln(out, measured[0].Measurement)
	return err
}

func (o *measureOptions) printExplanations(out io.Writer, launch *measure.Launch, variants []measure.VCPUs) error {
	var all []*measure.Explanation
	for _, v := range variants {
		e, err := measure.Explain(launch, v)
		if err != nil {
			return measureError(err)
		}
		if e.KernelHashes != nil {
			e.KernelHashes.CommandLine = o.cmdline
		}
		all = append(all, e)
	}
	if o.json {
		return printJSON(out, all)
	}
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := e.WriteText(out); err != nil {
			return err
		}
	}
	return nil
}

// measureError makes a contradiction between flags a usage error.
func measureError(err error) error {
	if errors.Is(err, measure.ErrVCPUs) || errors.Is(err, measure.ErrConfig) {
		return usageError{err}
	}
	return err
}
