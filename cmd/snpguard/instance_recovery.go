package main

import (
	"fmt"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

func newInstanceRecoveryCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "recovery INSTANCE --out FILE",
		Short: "Fetch the volume key of an instance, encrypted to the recovery keys of its image",
		Long: `Fetch the volume key of an instance, encrypted to the recovery keys that its image was
converted with: an age file. The service cannot open it; the disk has it as well. With a
recovery key and cryptsetup it opens the disk without the service. The audit log has a
record of each time that it is fetched.`,
		Example: `  snpguard instance recovery web-1 --out web-1.age
  age -d -i recovery.key -o vmk web-1.age`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageErrorf("--out is missing: the file to write")
			}
			if err := checkNewFile(out, force); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			pending, err := renameio.NewPendingFile(out, renameio.WithPermissions(0o600))
			if err != nil {
				return err
			}
			defer pending.Cleanup() //nolint:errcheck // nothing is left to do about it
			if err := service.Recovery(cmd.Context(), found.ID, pending); err != nil {
				return err
			}
			return pending.CloseAtomicallyReplace()
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file of --out if it exists")
	return cmd
}
