package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Manage the images that are registered with the service",
		Long: `Manage the images that are registered with the service. IMAGE is an ID,
an exact name or a channel. A release is given by its ID; the default is that of the
channel, or the newest approved one.`,
		Example: `  snpguard image list
  snpguard image disable debian-12`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newImageListCommand(), newImageShowCommand(), newImageSwitchCommand("enable", true), newImageSwitchCommand("disable", false),
		newImageDeleteCommand(), newImageExportCommand(), newImagePolicyCommand(), newImageLimitCommand(), newImageKeepCommand(), newImageMachinesCommand(),
		newImageInstancesCommand(),
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
	fmt.Fprintf(t, "launch limit\t%s\nkept releases\t%s\ninstances\t%s\nreport policy\trevision %d: %s\n", limitText(i.LaunchLimit), keepText(i.KeepReleases), instancesText(i.Instances), i.Revision, safe(string(i.Policy)))
	for _, r := range i.Releases {
		fmt.Fprintln(t)
		showRelease(t, &r)
	}
	return t.Flush()
}

func acceptedBy(f wire.ReleaseFinding) string {
	if f.AcceptedBy == "" {
		return ""
	}
	return ", accepted by " + safe(f.AcceptedBy)
}

// newImageSwitchCommand makes "enable" and "disable".
func newImageSwitchCommand(verb string, on bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " IMAGE",
		Short: strings.ToUpper(verb[:1]) + verb[1:] + " an image with all of its releases",
		Long: `A disabled image gets no key, whatever the state of its releases. Guests that run
already are not touched. A single release is retired and restored: "snpguard release".`,
		Example: "  snpguard image " + verb + " debian-13",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{Enabled: &on})
			return err
		},
	}
	return cmd
}
