package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/attestation/reportview"
)

func newReportShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE [flags]",
		Short: "Print every field of an attestation report",
		Long: `Print every field of an attestation report, and the certificates of an extended
report. Nothing is verified: anyone can write such a file.

Names are those of the SNP firmware ABI (56860). The JSON is one object with the
same names; guest policy, platform info and TCB versions are objects with the
raw value and what it means. Exit code 1: the file is not an attestation report.`,
		Example: "  snpguard report show report.bin\n  snpguard report show report.bin --json | jq -r .measurement",
		Args:    oneArg,
		RunE:    func(cmd *cobra.Command, args []string) error { return runReportShow(cmd, args[0], asJSON) },
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func runReportShow(cmd *cobra.Command, path string, asJSON bool) error {
	report, table, err := openReport(cmd, path)
	if err != nil {
		return err
	}
	fields, certs := reportview.Fields(report), tableCertificates(table)
	if asJSON {
		return printJSON(cmd.OutOrStdout(), shownJSON(fields, certs))
	}
	return printFields(cmd.OutOrStdout(), fields, certs)
}

// shownJSON returns the fields by name.
func shownJSON(fields []reportview.Field, certs []shownCertificate) map[string]any {
	object := map[string]any{"certificates": certs}
	for _, f := range fields {
		object[f.Name] = f.Value
	}
	return object
}

func printFields(out io.Writer, fields []reportview.Field, certs []shownCertificate) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		fmt.Fprintf(w, "%s\t%v\n", f.Name, f.Value)
	}
	for _, c := range certs {
		fmt.Fprintf(w, "certificate, not verified\t%s\n", c)
	}
	return w.Flush()
}
