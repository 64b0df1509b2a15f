package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newReleaseApproveCommand() *cobra.Command {
	var content string
	cmd := &cobra.Command{
		Use:   "approve IMAGE RELEASE",
		Short: "Let a proposed release into force",
		Long: `Let a proposed release into force: guests that were launched from it get the key of
the image's disks. The party that proposed it cannot approve it. "snpguard release
show" tells what it holds, and a hash over all of that, its content. With --content
nothing is approved that was changed since.`,
		Example: "  snpguard release approve debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, found, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			if content == "" {
				content = found.ContentHash
			}
			approved, err := service.ApproveRelease(cmd.Context(), image.ID, found.ID, wire.Approval{ContentHash: content})
			if err != nil {
				return err
			}
			note(cmd, "Release %s of image %q is in force.", approved.ID, safe(image.Name))
			if approved.VerifiedBy == "" {
				note(cmd, "No one other than its proposer had verified it.")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&content, "content", "", "SHA-256 of the content as it was reviewed (default what it is now)")
	return cmd
}

func newReleaseRejectCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "reject IMAGE RELEASE",
		Short: "Keep a proposed release from force",
		Long: `Keep a proposed release from force. The same files, command line and guest policy
are not accepted again, unless an admin restores the release.`,
		Example: `  snpguard release reject debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2 --reason unknown-kernel`,
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, found, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			rejected, err := service.RejectRelease(cmd.Context(), image.ID, found.ID, wire.Rejection{Reason: reason})
			if err != nil {
				return err
			}
			note(cmd, "Release %s of image %q is rejected.", rejected.ID, safe(image.Name))
			return nil
		},
	}
	addReasonFlag(cmd, &reason)
	return cmd
}

func newReleaseRetireCommand() *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "retire IMAGE RELEASE",
		Short: "Take an approved release out of force",
		Long: `Take an approved release out of force: guests that start or restart with it get no
key, also those that are powered off now. It says how much the release is used; type
the beginning of its ID to confirm, unless --yes is given. An admin can take it back
with "snpguard release restore".`,
		Example: "  snpguard release retire debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, found, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			use, err := service.ReleaseUse(cmd.Context(), image.ID, found.ID)
			if err != nil {
				return err
			}
			note(cmd, "Retiring release %s of image %q locks its guests out: %s.", found.ID, safe(image.Name), useText(use))
			short := found.ID.String()[:8]
			if err := confirm(cmd, yes, question{"Type " + short + " to retire it: ", short, "the ID does not match, nothing was retired"}); err != nil {
				return err
			}
			retired, err := service.RetireRelease(cmd.Context(), image.ID, found.ID, wire.Retirement{Reason: reason, InUse: true})
			if err != nil {
				return err
			}
			note(cmd, "Release %s of image %q is retired.", retired.ID, safe(image.Name))
			return nil
		},
	}
	addReasonFlag(cmd, &reason)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// useText says whom a release is needed by.
func useText(u *wire.ReleaseUse) string {
	last := "never"
	if u.GrantedAt != nil {
		last = stamp(*u.GrantedAt)
	}
	return fmt.Sprintf("launches in the last %d days: %d; last launch: %s; machines that ran it when last seen: %d; instances that were launched from it last: %d",
		u.Days, u.Launches, last, u.Machines, u.Instances)
}

func newReleaseRestoreCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "restore IMAGE RELEASE",
		Short:   "Take a retirement or a rejection back",
		Long:    "Take a retirement or a rejection back: a retired release is in force again, a\nrejected one is proposed again. This needs the role admin.",
		Example: "  snpguard release restore debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    twoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, found, err := connectRelease(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			restored, err := service.RestoreRelease(cmd.Context(), image.ID, found.ID, wire.Restoration{Reason: reason})
			if err != nil {
				return err
			}
			note(cmd, "Release %s of image %q is %s.", restored.ID, safe(image.Name), safe(string(restored.State)))
			return nil
		},
	}
	addReasonFlag(cmd, &reason)
	return cmd
}

func addReasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for the audit log")
}
