package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newImageDeleteCommand() *cobra.Command {
	var release string
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete IMAGE",
		Short: "Delete an image with all that it holds, or one of its releases",
		Long: `Delete an image with its keys, releases and artifacts, or one of its releases. Its
disks can then be unlocked with a recovery key only. Its audit records
stay. You must type the name to confirm, unless --yes is given.`,
		Example: "  snpguard image delete debian-12",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, image, err := connectImage(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirmDeletion(cmd, image, yes); err != nil {
				return err
			}
			if release == "" {
				return service.DeleteImage(cmd.Context(), image.ID)
			}
			found, err := findRelease(image, release)
			if err != nil {
				return err
			}
			return service.DeleteRelease(cmd.Context(), image.ID, found.ID)
		},
	}
	cmd.Flags().StringVar(&release, "release", "", "only this release")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func confirmDeletion(cmd *cobra.Command, image *wire.Image, yes bool) error {
	return confirm(cmd, yes, question{"Type the name " + safe(image.Name) + " to delete: ", image.Name, "the name does not match, nothing was deleted"})
}

// question wants something typed before what locks guests out.
type question struct{ text, want, mismatch string }

// confirm asks, unless the answer was given as --yes.
func confirm(cmd *cobra.Command, yes bool, q question) error {
	if yes {
		return nil
	}
	fmt.Fprint(cmd.ErrOrStderr(), q.text)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSuffix(line, "\n") != q.want {
		return errors.New(q.mismatch)
	}
	return nil
}
