package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Decide on the releases of an image",
		Long: `Decide on the releases of an image. One that is added to an image is proposed, and
unlocks nothing until it is approved: its initrd is given the key of every disk of
the image.`,
		Example: "  snpguard release approve debian-13 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    wantsCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReleaseAddCommand(), newReleaseVerifyCommand(), newReleaseApproveCommand())
	return cmd
}

func newReleaseApproveCommand() *cobra.Command {
	var content string
	cmd := &cobra.Command{
		Use:   "approve IMAGE RELEASE",
		Short: "Let a proposed release into force",
		Long: `Let a proposed release into force: guests that were launched from it get the key of
the image's disks. "snpguard image show" tells what it holds, and a hash over all of
that, its content. With --content nothing is approved that was changed since.`,
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
			return nil
		},
	}
	cmd.Flags().StringVar(&content, "content", "", "SHA-256 of the content as it was reviewed (default what it is now)")
	return cmd
}

// releaseState says whether guests of a release get their key.
func releaseState(r *wire.Release) string {
	if r.ApprovedAt == nil {
		return fmt.Sprintf("proposed, %s", enabled(r.Enabled))
	}
	return enabled(r.Enabled)
}
