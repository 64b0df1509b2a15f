package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/client"
)

func newLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget the attestation service and the token for it",
		Long: `Forget the attestation service and the token for it. The token stays valid:
"snpguard token revoke" ends it.`,
		Example: "  snpguard logout",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := client.LoginPath()
			if err != nil {
				return err
			}
			if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		},
	}
}
