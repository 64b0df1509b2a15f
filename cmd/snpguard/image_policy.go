package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client/register"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImagePolicyCommand() *cobra.Command {
	var release, set string
	cmd := &cobra.Command{
		Use:   "policy IMAGE",
		Short: "Show or replace the report policy of an image",
		Long: `Show the report policy of an image: TCB floors, rules on the platform, chips and
providers (docs/report-policy.md), or replace it. It holds for all releases. With
--release it is what that release demands beyond it, which can only tighten; null
stands for nothing.

Policies are not measured, so a change counts at the next unlock; a policy that
someone else has changed in the meantime is not overwritten. What a new policy of an image
does not say of product lines, signing keys and TCB floors, the service writes into it.`,
		Example: `  snpguard image policy debian-13 > policy.json
  snpguard image policy debian-13 --set policy.json`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			of := &wire.Release{Policy: image.Policy, Revision: image.Revision}
			if release != "" {
				if of, err = findRelease(image, release); err != nil {
					return err
				}
			}
			if set == "" {
				return printJSON(cmd.OutOrStdout(), of.Policy)
			}
			policy, err := register.ReadPolicy(set)
			if err != nil {
				return err
			}
			if release != "" {
				_, err = service.PatchRelease(cmd.Context(), image.ID, of.ID, wire.ReleasePatch{Policy: policy, Revision: of.Revision})
				return err
			}
			changed, err := service.PatchImage(cmd.Context(), image.ID, wire.ImagePatch{Policy: policy, Revision: of.Revision})
			if err != nil {
				return err
			}
			return noteWarnings(cmd, changed.Policy)
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "what this release demands beyond it")
	cmd.Flags().StringVar(&set, "set", "", "file with the new policy")
	return cmd
}
