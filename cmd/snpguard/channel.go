package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newChannelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "channel",
		Short: "Name images and releases by channels",
		Long: `Name images and releases by channels. A channel, FAMILY/NAME such as
debian-13/stable, stands for an image and its newest approved release, or a release
of your choice. Templates and launchers name the channel; moving it changes what
they get. Every command that accepts an image accepts a channel.`,
		Example: `  snpguard channel set debian-13/stable debian-13-2
  snpguard image export debian-13/stable --bundle launch-artifacts.tar.gz`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChannelSetCommand(), newChannelListCommand(), newChannelShowCommand(), newChannelDeleteCommand())
	return cmd
}

func newChannelSetCommand() *cobra.Command {
	var release string
	cmd := &cobra.Command{
		Use:   "set CHANNEL IMAGE",
		Short: "Make a channel, or move it",
		Long: `Make a channel, or move it to another image or release. A channel that someone else
moves at the same time is not moved. This needs the role approve.`,
		Example: "  snpguard channel set debian-13/stable debian-13-2",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[1])
			if err != nil {
				return err
			}
			change := wire.ChannelChange{Target: wire.ChannelTarget{ImageID: image.ID}}
			if release != "" {
				found, err := findRelease(image, release)
				if err != nil {
					return err
				}
				change.Target.ReleaseID = &found.ID
			}
			if change.Previous, err = service.target(cmd, args[0]); err != nil {
				return err
			}
			channel, err := service.SetChannel(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			note(cmd, "Channel %s stands for %s.", safe(channel.Name), channelText(channel))
			return nil
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "stay with this release (default the newest approved one)")
	return cmd
}

// target returns what a channel stands for; nil when it does not exist.
func (c *connected) target(cmd *cobra.Command, name string) (*wire.ChannelTarget, error) {
	channel, err := c.Channel(cmd.Context(), name)
	if problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &wire.ChannelTarget{ImageID: channel.ImageID, ReleaseID: channel.ReleaseID}, nil
}

func channelText(c *wire.Channel) string {
	if c.ReleaseID != nil {
		return fmt.Sprintf("image %s, release %s", c.ImageID, c.ReleaseID)
	}
	return fmt.Sprintf("image %s, the newest approved release", c.ImageID)
}

func newChannelListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the channels",
		Example: "  snpguard channel list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			channels, err := service.Channels(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), channels)
			}
			t := newTable(cmd)
			fmt.Fprintln(t, "CHANNEL\tIMAGE\tRELEASE\tIN FORCE\tCHANGED\tBY")
			for _, c := range channels {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", safe(c.Name), c.ImageID, idOr(c.ReleaseID, "newest"), idOr(c.InForce, "none"), stamp(c.ChangedAt), safe(c.ChangedBy))
			}
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// idOr names an ID that there need not be.
func idOr(id *wire.UUID, none string) string {
	if id == nil {
		return none
	}
	return id.String()
}

func newChannelShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show CHANNEL",
		Short:   "Show what a channel stands for",
		Example: "  snpguard channel show debian-13/stable",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			c, err := service.Channel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), c)
			}
			t := newTable(cmd)
			fmt.Fprintf(t, "channel\t%s\nimage\t%s\nrelease\t%s\nin force\t%s\nchanged\t%s by %s\n",
				safe(c.Name), c.ImageID, idOr(c.ReleaseID, "newest"), idOr(c.InForce, "none"), stamp(c.ChangedAt), safe(c.ChangedBy))
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newChannelDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete CHANNEL",
		Short:   "Delete a channel",
		Long:    "Delete a channel. The image and the release that it stood for stay.",
		Example: "  snpguard channel delete debian-13/stable",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			return service.DeleteChannel(cmd.Context(), args[0])
		},
	}
}
