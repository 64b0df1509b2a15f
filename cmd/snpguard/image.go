package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/size"
)

func newImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Manage the images that are registered with the service",
		Long: `Manage the images that are registered with the service. IMAGE is an ID or an
exact name. A release is given by its ID; the default is the newest.`,
		Example: `  snpguard image list
  snpguard image disable debian-12`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newImageListCommand(), newImageShowCommand(), newImageSwitchCommand("enable", true), newImageSwitchCommand("disable", false),
		newImageDeleteCommand(), newImageExportCommand(), newImagePolicyCommand(), newImageLimitCommand(), newImageMachinesCommand(),
	)
	return cmd
}

func newImageListCommand() *cobra.Command {
	var f client.ImageFilter
	var onlyEnabled, onlyDisabled, asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List images",
		Example: "  snpguard image list --label team=web --enabled",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if onlyEnabled && onlyDisabled {
				return usageErrorf("--enabled and --disabled exclude each other")
			}
			if onlyEnabled || onlyDisabled {
				f.Enabled = &onlyEnabled
			}
			service, err := connect()
			if err != nil {
				return err
			}
			images, err := service.Images(cmd.Context(), f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), images)
			}
			t := newTable(cmd)
			fmt.Fprintln(t, "ID\tNAME\tSTATE\tCREATED\tLABELS")
			for _, i := range images {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", i.ID, safe(i.Name), imageState(i), stamp(i.CreatedAt), labelText(i.Labels))
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&f.Name, "name", "", "part of the name")
	cmd.Flags().StringArrayVar(&f.Labels, "label", nil, "KEY=VALUE that the image has; may be repeated")
	cmd.Flags().BoolVar(&onlyEnabled, "enabled", false, "only enabled images")
	cmd.Flags().BoolVar(&onlyDisabled, "disabled", false, "only disabled images")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func imageState(i wire.Image) string {
	if i.Simulated {
		return enabled(i.Enabled) + ", SIMULATED"
	}
	return enabled(i.Enabled)
}

func newImageShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show IMAGE",
		Short:   "Show an image with its releases and measurements",
		Example: "  snpguard image show debian-13",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), image)
			}
			return showImage(cmd, image)
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func showImage(cmd *cobra.Command, i *wire.Image) error {
	t := newTable(cmd)
	fmt.Fprintf(t, "image\t%s\nname\t%s\nstate\t%s\ncreated\t%s\nlabels\t%s\n", i.ID, safe(i.Name), imageState(*i), stamp(i.CreatedAt), labelText(i.Labels))
	fmt.Fprintf(t, "ID key digest\t%s\nauthor key digest\t%s\n", safe(i.IDKeyDigest), safe(i.AuthorKeyDigest))
	fmt.Fprintf(t, "launch limit\t%s\nreport policy\trevision %d: %s\n", limitText(i.LaunchLimit), i.Revision, safe(string(i.Policy)))
	for _, r := range i.Releases {
		showRelease(t, &r)
	}
	return t.Flush()
}

func showRelease(t io.Writer, r *wire.Release) {
	fmt.Fprintf(t, "\nrelease\t%s\nstate\t%s\ncontent\t%s\ncreated\t%s\nguest policy\t%s\nguest SVN\t%d\n",
		r.ID, releaseState(r), safe(r.ContentHash), stamp(r.CreatedAt), safe(r.GuestPolicy), r.GuestSVN)
	fmt.Fprintf(t, "command line\t%s\n", safe(r.Cmdline))
	if len(r.Policy) > 0 && string(r.Policy) != "null" {
		fmt.Fprintf(t, "tighter policy\trevision %d: %s\n", r.Revision, safe(string(r.Policy)))
	}
	for _, a := range r.Artifacts {
		fmt.Fprintf(t, "%s\t%s, SHA-256 %s\n", safe(a.Name), size.Text(a.Size), safe(a.SHA256))
	}
	for _, v := range r.Variants {
		fmt.Fprintf(t, "%dx%s\t%s\n", v.VCPUs, safe(v.VCPUType), safe(v.Measurement))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(t, "finding\t%s%s: %s: %s\n", safe(f.Severity), acceptedBy(f), safe(f.Code), safe(f.Text))
	}
	if r.Findings == nil {
		fmt.Fprintf(t, "findings\tnot reported\n")
	}
}

func acceptedBy(f wire.ReleaseFinding) string {
	if f.AcceptedBy == "" {
		return ""
	}
	return ", accepted by " + safe(f.AcceptedBy)
}

// newImageSwitchCommand makes "enable" and "disable".
func newImageSwitchCommand(verb string, on bool) *cobra.Command {
	var release string
	cmd := &cobra.Command{
		Use:     verb + " IMAGE",
		Short:   strings.ToUpper(verb[:1]) + verb[1:] + " an image, or one of its releases",
		Long:    "A disabled image or release gets no key. Guests that run already are not touched.",
		Example: "  snpguard image " + verb + " debian-13",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if release == "" {
				_, err = service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{Enabled: &on})
				return err
			}
			found, err := findRelease(image, release)
			if err != nil {
				return err
			}
			_, err = service.PatchRelease(cmd.Context(), image.ID, found.ID, wire.ReleasePatch{Enabled: &on})
			return err
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "only this release")
	return cmd
}
