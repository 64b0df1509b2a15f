package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageKeepCommand() *cobra.Command {
	var keep int64
	cmd := &cobra.Command{
		Use:   "keep IMAGE",
		Short: "Show or set how many releases of an image stay in force",
		Long: `Show or set how many approved releases of an image stay in force. Older ones retire
automatically, once so many newer ones have been launched and no launch has needed
them for 30 days. The first release of an image never does. 0 keeps all.`,
		Example: `  snpguard image keep debian-13
  snpguard image keep debian-13 --releases 2`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep < 0 {
				return usageErrorf("--releases: want a number of releases, or 0 to keep all")
			}
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("releases") {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), keepText(image.KeepReleases))
				return err
			}
			_, err = service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{KeepReleases: &keep})
			return err
		},
	}
	cmd.Flags().Int64Var(&keep, "releases", 0, "releases to keep, 0 for all")
	return cmd
}

// keepText says how many releases are kept.
func keepText(keep int64) string {
	if keep == 0 {
		return "all"
	}
	return fmt.Sprint(keep)
}
