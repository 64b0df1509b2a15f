package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/wire"
)

func newImagePolicyCommand() *cobra.Command {
	var release, set string
	cmd := &cobra.Command{
		Use:   "policy IMAGE",
		Short: "Show or replace the report policy of a release",
		Long: `Show the report policy of a release: TCB floors, rules on the platform, chips and
providers (docs/report-policy.md), or replace it. The policy is not measured, so
the change counts at the next unlock; a policy that somebody else changed
meanwhile is not overwritten. What a new policy does not say of product lines,
signing keys and TCB floors, the service writes into it.`,
		Example: `  snpguard image policy debian-13 > policy.json
  snpguard image policy debian-13 --set policy.json`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, found, err := connectRelease(cmd, args[0], release)
			if err != nil {
				return err
			}
			if set == "" {
				return printJSON(cmd.OutOrStdout(), found.Policy)
			}
			policy, err := register.ReadPolicy(set)
			if err != nil {
				return err
			}
			changed, err := service.PatchRelease(cmd.Context(), image.ID, found.ID, wire.ReleasePatch{Policy: policy, Revision: found.Revision})
			if err != nil {
				return err
			}
			return noteWarnings(cmd, changed.Policy)
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "release that is meant (default the newest)")
	cmd.Flags().StringVar(&set, "set", "", "file with the new policy")
	return cmd
}
