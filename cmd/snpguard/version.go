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
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version.String(), "revision": version.Revision(), "go": runtime.Version(),
				})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "snpguard", version.Line())
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
