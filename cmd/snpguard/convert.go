package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/convert"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
)

// convertOptions are the flags of "snpguard convert" as they were given.
type convertOptions struct {
	convert.Config
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
	option.Flags(f, &o.Config)
	f.StringVar(&o.in, "in", "", "source image: qcow2, raw, vmdk, vdi, vhd or vhdx, also compressed or in a tar archive (OVA)")
	f.StringVar(&o.out, "out", "", "image to make")
	f.StringVar(&o.staging, "staging", "", "directory to make for what registration needs")
	f.StringVar(&o.caFile, "ca-file", "", "PEM file with the service's CA (default the login's)")
	f.BoolVar(&o.force, "force", false, "replace an output and a staging directory that exist")
	addJSONFlag(cmd, &o.json)
}

// check finds what is wrong with the command line by itself, all of it at once:
// before anything is looked for, and before anybody has to log in.
func (o *convertOptions) check() error {
	var problems []error
	for _, f := range []struct {
		option      option.Name
		value, what string
	}{
		{"in", o.in, "give the image to convert"},
		{"out", o.out, "give the file to write the new image to"},
		{"staging", o.staging, "give the directory to write the files for registration to"},
	} {
		if f.value == "" {
			problems = append(problems, option.Missingf(f.option, "%s", f.what))
		}
	}
	return errors.Join(append(problems, o.Check())...)
}

func (o *convertOptions) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
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
		return nil, usageErrorf("--ca-file, --identity-key and --ingestion-key belong together: all three must come from the same service")
	}
	options, err := convert.NewOptions(cmd.Context(), &o.Config, &client.Service{CAFile: o.caFile})
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
