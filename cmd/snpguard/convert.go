package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/meet"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convertopts"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/bootconf"
)

// convertOptions are the flags of "snpguard convert" as they were given.
type convertOptions struct {
	convertopts.Config
	in, out, staging, caFile string
	force, json              bool
}

func newConvertCommand() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert --in IMAGE --out IMAGE --staging DIR --firmware FILE [flags]",
		Short: "Turn a cloud image into one for confidential VMs",
		Long: `Turn a stock Debian or Ubuntu image into one whose root is encrypted and whose
initrd holds the agent that fetches the key. What registration needs, the exact
kernel, initrd, command line and firmware, goes to the staging directory.

Neither root nor KVM nor a network is needed. The source is never written to,
and nothing appears under its final name before everything is done.

The keys of the attestation service are those of "snpguard login", or come from
the files that "snpguard keys" writes; --service names the URLs under which the
guests reach it, tried in turn, where those differ from the login's.`,
		Example: `  snpguard convert --in debian-13-genericcloud-amd64.qcow2 --out debian-13-snp.qcow2 \
      --staging staging --firmware /usr/share/ovmf/OVMF.amdsev.fd`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *convertOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.in, "in", "", "source image: qcow2, raw, vmdk, vdi, vhd or vhdx, also compressed or in a tar archive (OVA)")
	f.StringVar(&o.out, "out", "", "image to make")
	f.StringVar(&o.staging, "staging", "", "directory to make for what registration needs")
	f.StringVar(&o.Firmware, "firmware", "", "OVMF build for SEV-SNP with a hash table (Debian package ovmf-amdsev)")
	f.StringArrayVar(&o.Services, "service", nil, "URL under which guests reach the service; may be repeated (default the login's)")
	f.StringVar(&o.caFile, "ca-file", "", "PEM file with the service's CA (default the login's)")
	addIdentityKeyFlag(cmd, &o.IdentityKey)
	f.StringVar(&o.IngestionKey, "ingestion-key", "", "PEM file with the service's ingestion key (default the login's)")
	f.StringVar(&o.Kernel, "kernel", "", "kernel version to boot (default GRUB's choice among those that support SNP)")
	f.BoolVar(&o.Interactive, "interactive", false, "ask which boot entry to take")
	f.StringArrayVar(&o.ModulePackages, "module-package", nil, "FILE or URL#sha256=HEX of a .deb or .rpm with kernel modules that the image lacks; may be repeated")
	f.StringVar(&o.CmdlineAppend, "cmdline-append", "", "text to add to the kernel command line")
	f.StringArrayVar(&o.KeepArguments, "keep-argument", nil, "word of the source's command line, or NAME=, to keep although it is not known to be harmless; may be repeated")
	f.StringVar(&o.Size, "size", "", "size of the disk, such as 20G (default as large as needed)")
	f.StringVar(&o.Format, "format", convert.QCOW2, "format of the image: qcow2 or raw")
	f.BoolVar(&o.Compress, "compress", false, "compress what is not encrypted in a qcow2")
	f.StringArrayVar(&o.RecoveryRecipients, "recovery-recipient", nil, "age recipient that can recover the volume key; may be repeated")
	f.BoolVar(&o.AllowDiscards, "allow-discards", false, "let the guest tell the host which blocks are free")
	f.BoolVar(&o.EncryptFreeSpace, "encrypt-free-space", false, "fill free blocks with noise, so that nobody sees which are in use")
	f.StringVar(&o.Network, "network", bootconf.ModeDHCP, "dhcp, or static:ADDRESS/BITS[,...],gw=ADDRESS[,...],dns=ADDRESS[,...]")
	f.StringVar(&o.NetworkMAC, "network-mac", "", "use only the interface with this address")
	f.StringVar(&o.CloudInit, "cloud-init", convert.CloudInitNone, "data sources that cloud-init may use: none, keep or a list; the host controls most of them")
	f.DurationVar(&o.Deadline, "deadline", bootconf.DefaultDeadline, "how long the agent tries before it powers off")
	f.StringVar(&o.AgentPath, "agent-path", "", "agent to put into the initrd (default the one in this program)")
	f.BoolVar(&o.Simulate, "simulate", false, "put in the agent for a simulated AMD-SP: for trying, worth nothing")
	f.BoolVar(&o.NoEncryption, "no-encryption", false, "leave the disk as it is, without agent and service: for trying the launch alone")
	f.BoolVar(&o.KeepOnFailure, "keep-on-failure", false, "keep the working files of a failed conversion")
	f.BoolVar(&o.force, "force", false, "replace an output and a staging directory that exist")
	addJSONFlag(cmd, &o.json)
}

// checkRequired names all flags that are missing at once.
func (o *convertOptions) checkRequired() error {
	var missing []error
	for _, f := range []struct{ option, value, what string }{
		{"in", o.in, "which image is converted?"},
		{"out", o.out, "where does the new image go?"},
		{"staging", o.staging, "where does what registration needs go?"},
		{"firmware", o.Firmware, "an OVMF build for SEV-SNP, such as OVMF.amdsev.fd of the Debian package ovmf-amdsev"},
	} {
		if f.value == "" {
			missing = append(missing, option.Errorf(f.option, "is missing: %s", f.what))
		}
	}
	return errors.Join(missing...)
}

func (o *convertOptions) run(cmd *cobra.Command) error {
	if err := o.checkRequired(); err != nil {
		return flagErrors(cmd, err)
	}
	options, err := o.options(cmd)
	if err != nil {
		return err
	}
	if err := options.Check(); err != nil {
		return flagErrors(cmd, err)
	}
	steps := newSteps(cmd)
	options.Events = steps
	conversion, err := convert.Convert(cmd.Context(), options)
	steps.finish()
	if err != nil {
		return nameFlags(cmd, err)
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), conversion)
	}
	t := newTable(cmd)
	fmt.Fprintf(t, "image\t%s\nstaging\t%s\nimage ID\t%s\nkernel\t%s\ncommand line\t%s\n",
		o.out, o.staging, conversion.ImageID, safe(conversion.Kernel), safe(conversion.Cmdline))
	return t.Flush()
}

// options turns the flags into options of the conversion.
func (o *convertOptions) options(cmd *cobra.Command) (*convert.Options, error) {
	if !o.NoEncryption && o.caFile != "" && (o.IdentityKey == "" || o.IngestionKey == "") {
		return nil, usageErrorf("--ca-file, --identity-key and --ingestion-key belong together: keys of two services open nothing")
	}
	options, err := o.Options(cmd.Context(), &meet.Service{CAFile: o.caFile})
	if problems := option.List(err); len(problems) > 1 {
		// What is written wrongly is told before anybody has to log in.
		err = errors.Join(slices.DeleteFunc(problems, func(p error) bool { return errors.Is(p, client.ErrNoLogin) })...)
	}
	if errors.Is(err, client.ErrNoLogin) {
		return nil, fmt.Errorf("%w, or give --service, --ca-file, --identity-key and --ingestion-key", client.ErrNoLogin)
	}
	if err != nil {
		return nil, flagErrors(cmd, err)
	}
	options.Input, options.Output, options.Staging, options.Replace = o.in, o.out, o.staging, o.force
	if o.Interactive {
		options.Choose = askForEntry(cmd)
	}
	return options, nil
}

// askForEntry lists the boot entries and reads the number of one.
func askForEntry(cmd *cobra.Command) func([]convert.Choice) (int, error) {
	return func(entries []convert.Choice) (int, error) {
		w := cmd.ErrOrStderr()
		for i, e := range entries {
			mark := ""
			if e.Default {
				mark = " (default)"
			}
			if e.Reason != "" {
				mark += " - cannot be taken: " + e.Reason
			}
			fmt.Fprintf(w, "%3d  %s  [%s]%s\n", i+1, safe(e.Title), safe(e.Kernel), safe(mark))
		}
		fmt.Fprint(w, "Which one? ")
		var n int
		if _, err := fmt.Fscanln(cmd.InOrStdin(), &n); err != nil {
			return 0, fmt.Errorf("read the number of a boot entry: %w", err)
		}
		if n < 1 || n > len(entries) {
			return 0, fmt.Errorf("%d is not the number of a boot entry", n)
		}
		return n - 1, nil
	}
}
