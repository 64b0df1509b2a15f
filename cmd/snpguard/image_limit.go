package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageLimitCommand() *cobra.Command {
	var limit int64
	var span option.Duration
	var none bool
	cmd := &cobra.Command{
		Use:   "limit IMAGE",
		Short: "Show or set how many launches of an image get their key",
		Long: `Show or set how many launches of an image are given their key within a period.
Further ones are denied (launch_limit) until the period has moved on. All copies
of an image have one volume key, and a host that wants to choose what their disks
hold boots copies, which takes many unexpected launches.`,
		Example: `  snpguard image limit debian-13
  snpguard image limit debian-13 --max-launches 20 --period 24h
  snpguard image limit debian-13 --none`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			period := time.Duration(span)
			given := cmd.Flags().Changed("max-launches") || cmd.Flags().Changed("period")
			switch {
			case none && given:
				return usageErrorf("--none excludes --max-launches and --period")
			case given && (limit < 1 || period < time.Second || period%time.Second != 0):
				return usageErrorf("--max-launches and --period must be given together: at least one launch, and a period in whole seconds, for example 24h")
			}
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if !none && !given {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), limitText(image.LaunchLimit))
				return err
			}
			_, err = service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{LaunchLimit: &wire.LaunchLimit{Max: limit, Period: int64(period / time.Second)}})
			return err
		},
	}
	cmd.Flags().Int64Var(&limit, "max-launches", 0, "launches that get their key within --period")
	cmd.Flags().Var(&span, "period", "period, for example 24h or 7d")
	cmd.Flags().BoolVar(&none, "none", false, "lift the limit")
	return cmd
}

// limitText says what a limit is.
func limitText(l wire.LaunchLimit) string {
	if l == (wire.LaunchLimit{}) {
		return "none"
	}
	return fmt.Sprintf("%d launches in %s", l.Max, option.DurationText(time.Duration(l.Period)*time.Second))
}
