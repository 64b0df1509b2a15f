package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/version"
)

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  snpguard version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version.String(), "revision": version.Revision(), "go": runtime.Version(),
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "snpguard %s (revision %s, %s)\n",
				version.String(), version.Revision(), runtime.Version())
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
