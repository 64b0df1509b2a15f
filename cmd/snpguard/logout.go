package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func newLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget the attestation service and the token for it",
		Long: `Forget the attestation service and the token for it. The token stays valid:
"snpguard token revoke" ends it.`,
		Example: "  snpguard logout",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := loginPath()
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
