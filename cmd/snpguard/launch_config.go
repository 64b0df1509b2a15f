package main

import (
	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

func newLaunchConfigCommand() *cobra.Command {
	var dir, vcpuType, policy string
	var count int
	cmd := &cobra.Command{
		Use:   "launch-config --staging DIR --vcpus N --vcpu-type T [--policy P]",
		Short: "Make the launch configuration of a conversion without encryption",
		Long: `Put launch-config.json into the staging directory of a conversion with
--no-encryption, without a service. There is no secret in such an image, hence no
ID block and nobody's signature. What has secrets is registered.`,
		Example: "  snpguard launch-config --staging out/staging --vcpus 2 --vcpu-type EPYC-Milan",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || vcpuType == "" {
				return usageErrorf("--staging, --vcpus and --vcpu-type are needed")
			}
			t, err := measure.ParseVCPUType(vcpuType)
			if err != nil {
				return usageErrorf("--vcpu-type: %w", err)
			}
			if count < 1 || count > measure.MaxVCPUs {
				return usageErrorf("--vcpus: %d, want 1 to %d", count, measure.MaxVCPUs)
			}
			p, err := idblock.ParseGuestPolicy(policy)
			if err != nil {
				return usageErrorf("--policy: %w", err)
			}
			config, err := embed.WriteLaunchConfig(dir, measure.VCPUs{Count: count, Type: t}, p)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), config)
		},
	}
	cmd.Flags().StringVar(&dir, "staging", "", "staging directory of the conversion")
	cmd.Flags().IntVar(&count, "vcpus", 0, "count of vCPUs")
	cmd.Flags().StringVar(&vcpuType, "vcpu-type", "", "QEMU's name of a vCPU model, such as EPYC-Milan")
	cmd.Flags().StringVar(&policy, "policy", "0x30000", "guest policy, a number or names such as abi=0.31,smt")
	return cmd
}
