package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Manage the releases of an image",
		Long: `Manage the releases of an image. One that is added to an image is proposed, and
unlocks nothing until someone other than its proposer approves it: its initrd is
given the key of every disk of the image. An approved release unlocks until it is
retired. An admin can restore a retired or rejected one.`,
		Example: `  snpguard release list debian-13
  snpguard release approve debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newReleaseListCommand(), newReleaseShowCommand(), newReleaseDiffCommand(), newReleaseAddCommand(), newReleaseVerifyCommand(),
		newReleaseApproveCommand(), newReleaseRejectCommand(), newReleaseRetireCommand(), newReleaseRestoreCommand(),
	)
	return cmd
}

func newReleaseListCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list IMAGE",
		Short:   "List the releases of an image, newest first",
		Example: "  snpguard release list debian-13 --only proposed",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkState(state); err != nil {
				return err
			}
			_, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			shown := []wire.Release{}
			for _, r := range image.Releases {
				if state == "" || string(r.State) == state {
					shown = append(shown, r)
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			t := newTable(cmd)
			fmt.Fprintln(t, "ID\tSTATE\tCREATED\tPROPOSED BY\tAPPROVED BY\tVERIFIED BY")
			for _, r := range shown {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, safe(string(r.State)), stamp(r.CreatedAt),
					safe(r.ProposedBy), orDash(r.ApprovedBy), verifiedBy(&r))
			}
			return t.Flush()
		},
	}
	cmd.Flags().StringVar(&state, "only", "", "only proposed, approved, rejected or retired releases")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func checkState(state string) error {
	switch wire.ReleaseState(state) {
	case "", wire.StateProposed, wire.StateApproved, wire.StateRejected, wire.StateRetired:
		return nil
	}
	return usageErrorf("--only: want proposed, approved, rejected or retired, got %q", state)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return safe(text)
}

// verifiedBy says who had recomputed a release when it was approved, or has until now.
func verifiedBy(r *wire.Release) string {
	if r.ApprovedAt == nil && len(r.Verifications) > 0 {
		return orDash(r.Verifications[0].By)
	}
	return orDash(r.VerifiedBy)
}

func newReleaseShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show IMAGE RELEASE",
		Short:   "Show a release: what is measured, where it comes from, who decided",
		Example: "  snpguard release show debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, _, found, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), found)
			}
			t := newTable(cmd)
			showRelease(t, found)
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
