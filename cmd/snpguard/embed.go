package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

// embedOptions are the flags of "snpguard embed" as they were given.
type embedOptions struct {
	embed.Config
	staging string
	json    bool
	trustOptions
}

func newEmbedCommand() *cobra.Command {
	var o embedOptions
	cmd := &cobra.Command{
		Use:   "embed --image IMG (--bundle B | --staging DIR) [flags]",
		Short: "Put a launch bundle onto the disk, which then boots alone",
		Long: `Put a launch bundle into one of the two slots, A and B, of the partition
LAUNCH_ARTIFACTS that conversion has made, and make that slot the active one. The
other slot is empty then. With --update the slot that was active stays as it is.
With --trial the guest must confirm that it has booted; if it does not, "snpguard
launch" returns to the slot that was active.

The bundle's signature, by the identity key of the service that was logged in to
or by --identity-key, and every file in it are checked first. The image is changed
in place, without root rights and mounts: a cut at any moment leaves it as it was
or as it should be. It must not be in use.

--staging takes the directory of a conversion with --no-encryption, into which
"snpguard launch-config" has put a launch configuration, and makes an unsigned
bundle from it. --unsigned takes such a bundle where "snpguard artifacts
export" has written it.

Exit codes here: 1 the bundle is not genuine.`,
		Example: `  snpguard embed --image debian-snp.qcow2 --bundle launch-artifacts.tar.gz
  snpguard launch --image debian-snp.qcow2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runEmbed(cmd, &o) },
	}
	f := cmd.Flags()
	option.Flags(f, &o.Config)
	f.StringVar(&o.staging, "staging", "", "staging directory of a conversion without encryption")
	o.addFlags(cmd)
	addJSONFlag(cmd, &o.json)
	return cmd
}

func runEmbed(cmd *cobra.Command, o *embedOptions) error {
	options := &embed.Options{Config: o.Config, Staging: o.staging}
	switch {
	case o.Image == "":
		return usageErrorf("--image is missing: the disk image to put the bundle into")
	case o.Bundle == "" && o.staging == "":
		return usageErrorf("the bundle is missing: give --bundle, the launch bundle of a registration, " +
			"or --staging, the directory of a conversion with --no-encryption")
	case o.Bundle != "" && o.staging != "":
		return usageErrorf("--bundle and --staging exclude each other: --bundle is for a registered image, --staging for a conversion with --no-encryption")
	}
	if err := o.Check(); err != nil {
		return flagErrors(cmd, err)
	}
	if o.Bundle != "" {
		var err error
		if options.Trust, err = o.trust(); err != nil {
			return err
		}
		f, err := openInput(o.Bundle)
		if err != nil {
			return err
		}
		defer f.Close()
		options.Reader = f
	}
	result, err := embed.Embed(cmd.Context(), options)
	if err != nil {
		return notGenuine(cmd, o.Bundle+o.staging, nameFlags(cmd, err))
	}
	return o.print(cmd, result)
}

func (o *embedOptions) print(cmd *cobra.Command, r *embed.Result) error {
	if !r.Changed {
		note(cmd, "snpguard: the disk already has this bundle; nothing was written")
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	t := newTable(cmd)
	trial := ""
	if r.Trial {
		trial = ", on trial"
	}
	fmt.Fprintf(t, "image\t%s\npartition\t%d\nsize\t%s\nactive\t%s%s\n", o.Image, r.Partition, size.Text(r.Size), r.Slot, trial)
	return t.Flush()
}
