package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/idblock"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/image/embed"
	"github.com/snpguard-go/packer-plugin-snpguard/measure"
)

func newLaunchConfigCommand() *cobra.Command {
	var dir, vcpuType, policy string
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "launch-config --staging DIR --vcpus N --vcpu-type TYPE [--guest-policy POLICY]",
		Short: "Make the launch configuration of a conversion without encryption",
		Long: `Put launch-config.json into the staging directory of a conversion with
--no-encryption, without a service. Such an image holds no secret, so it needs no
ID block and no signature; an image with secrets must be registered. --json prints
the file, which uses QEMU's names.`,
		Example: "  snpguard launch-config --staging out/staging --vcpus 2 --vcpu-type EPYC-Genoa",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || vcpuType == "" {
				return usageErrorf("--staging, --vcpus and --vcpu-type are needed: the directory of a conversion, and the size of the guest")
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
				return usageErrorf("--guest-policy: %w", err)
			}
			config, err := embed.WriteLaunchConfig(dir, measure.VCPUs{Count: count, Type: t}, p)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), config)
			}
			table := newTable(cmd)
			fmt.Fprintf(table, "staging\t%s\nvCPUs\t%d\nvCPU type\t%s\nguest policy\t%s\n", dir, config.VCPUCount, config.VCPUModel, config.GuestPolicy)
			return table.Flush()
		},
	}
	cmd.Flags().StringVar(&dir, "staging", "", "staging directory of the conversion")
	cmd.Flags().IntVar(&count, "vcpus", 0, "count of vCPUs")
	cmd.Flags().StringVar(&vcpuType, "vcpu-type", "", "QEMU's name of a vCPU model, such as EPYC-Genoa")
	addGuestPolicyFlag(cmd, &policy)
	alsoTakes(cmd, map[string]string{"policy": "guest-policy"})
	addJSONFlag(cmd, &asJSON)
	return cmd
}
