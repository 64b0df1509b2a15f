package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

// stampOrNot writes a time that there need not be.
func stampOrNot(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

// newInstanceSwitchCommand makes "enable" and "disable".
func newInstanceSwitchCommand(verb string, on bool) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " INSTANCE",
		Short: strings.ToUpper(verb[:1]) + verb[1:] + " an instance",
		Long: `A disabled instance gets no key at its next launch. One that runs already is not
touched.`,
		Example: "  snpguard instance " + verb + " web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = service.PatchInstance(cmd.Context(), found.ID, wire.InstancePatch{Enabled: &on})
			return err
		},
	}
}

func newInstanceResetCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset INSTANCE",
		Short: "Make an instance new again, for a fresh copy of the image's disk",
		Long: `Make an instance new again: its next launch wants a fresh copy of the image's disk.
The service's share of the volume key is replaced, so the disk that the instance has now
opens with a recovery key only, and cannot be adopted again. You must type the name to
confirm, unless --yes is given.`,
		Example: "  snpguard instance reset web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, question{"Type the name " + safe(found.Name) + " to reset: ", found.Name, "the name does not match, nothing was reset"}); err != nil {
				return err
			}
			_, err = service.ResetInstance(cmd.Context(), found.ID)
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func newInstanceDeleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete INSTANCE",
		Short: "Delete an instance, and a day later the key of its disk",
		Long: `Delete an instance. It gets no key from now on; for a day "snpguard instance undelete"
takes that back. Then the service's share of the volume key is destroyed: what opens the
disk after that is a recovery key, or a backup of the service's database from before. You
must type the name to confirm, unless --yes is given.`,
		Example: "  snpguard instance delete web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, question{"Type the name " + safe(found.Name) + " to delete: ", found.Name, "the name does not match, nothing was deleted"}); err != nil {
				return err
			}
			if err := service.DeleteInstance(cmd.Context(), found.ID); err != nil {
				return err
			}
			note(cmd, "Instance %s is deleted. For a day this takes it back:\n  snpguard instance undelete %s", safe(found.Name), found.ID)
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func newInstanceUndeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "undelete INSTANCE",
		Short:   "Take the deletion of an instance back",
		Long:    `Take the deletion of an instance back, within a day of it.`,
		Example: "  snpguard instance undelete web-1",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = service.UndeleteInstance(cmd.Context(), found.ID)
			return err
		},
	}
}

func newInstanceAllowRestoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "allow-restore INSTANCE GENERATION",
		Short: "Allow one boot of an older state of an instance's disk",
		Long: `Allow one boot of an older state of an instance's disk, such as a snapshot, where its
image has "--generation enforce". Each boot writes a generation, one higher than the one
before, to the disk; a denial with the reason rollback names the one that the disk had.
The permission is for exactly that one, lasts an hour and serves one boot.`,
		Example: "  snpguard instance allow-restore web-1 41",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			generation, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil || generation < 1 {
				return usageErrorf("%q is not a generation: want the number of the disk that is restored, as the denial names it", args[1])
			}
			service, found, err := connectInstance(cmd, args[0])
			if err != nil {
				return err
			}
			allowed, err := service.AllowRestore(cmd.Context(), found.ID, wire.RestoreAllowance{Generation: generation})
			if err != nil {
				return err
			}
			if allowed.Restore == nil {
				return fmt.Errorf("the service allowed no restore of instance %s", found.ID)
			}
			note(cmd, "One boot of generation %d is allowed until %s.", allowed.Restore.Generation, stamp(allowed.Restore.Until))
			return nil
		},
	}
}
