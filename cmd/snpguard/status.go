package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the attestation service that is logged in to",
		Example: "  snpguard status",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			status, err := service.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), status)
			}
			t := newTable(cmd)
			fmt.Fprintf(t, "service\t%s\nversion\t%s\nrunning since\t%s\ndatabase\t%s\n",
				service.login.URL, safe(status.Version), stamp(status.StartedAt), safe(status.Database))
			fmt.Fprintf(t, "images\t%d\nreleases\t%d\naudit log\t%d records, head %s\n",
				status.Images, status.Releases, status.Audit.Seq, headText(status.Audit))
			for _, warning := range status.Warnings {
				fmt.Fprintf(t, "WARNING\t%s\n", safe(warning))
			}
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
